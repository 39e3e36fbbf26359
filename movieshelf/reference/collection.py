"""The OpenAPI document as a Postman collection, which Bruno, Insomnia and Hoppscotch read too."""

import json
import uuid
from pathlib import Path
from typing import Any

from django.conf import settings

from movieshelf.reference.document import Document
from movieshelf.reference.examples import EXAMPLES

COLLECTION: Path = settings.BASE_DIR / "clients" / "movieshelf.postman_collection.json"
FORMAT = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"
# Logging in keeps the token for all other requests.
KEEP_TOKEN = [
    "if (pm.response.code < 300) {",
    "    pm.collectionVariables.set('accessToken', pm.response.json().accessToken);",
    "}",
]


def collection_json(document: Document) -> bytes:
    """Give the collection: a folder for each tag, a request with its example for each operation."""
    folders: dict[str, list[Document]] = {tag["name"]: [] for tag in document["tags"]}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            folders[operation["tags"][0]].append(_request(path, method, operation))
    info = document["info"]
    collection = {
        "info": {
            # The same for each version, so that an import replaces the one before.
            "_postman_id": str(uuid.uuid5(uuid.NAMESPACE_URL, "movieshelf")),
            "name": f"{info['title']} {info['version']}",
            "description": info["description"],
            "schema": FORMAT,
        },
        "auth": {
            "type": "bearer",
            "bearer": [{"key": "token", "value": "{{accessToken}}", "type": "string"}],
        },
        "variable": [
            {"key": "baseUrl", "value": "http://127.0.0.1:8000"},
            {"key": "accessToken", "value": ""},
        ],
        "item": [{"name": name, "item": requests} for name, requests in folders.items()],
    }
    return (json.dumps(collection, indent=2, ensure_ascii=False) + "\n").encode()


def _request(path: str, method: str, operation: Document) -> Document:
    parameters = operation.get("parameters", [])
    segments = [
        f":{part[1:-1]}" if part[0] == "{" else part for part in path[1:].split("/") if part
    ]
    query = [_disabled(one) for one in parameters if one["in"] == "query"]
    request: dict[str, Any] = {
        "method": method.upper(),
        "header": [_disabled(one) for one in parameters if one["in"] == "header"],
        "url": {
            "raw": "/".join(["{{baseUrl}}", *segments]),
            "host": ["{{baseUrl}}"],
            "path": segments,
            "query": query,
            "variable": [
                {"key": one["name"], "value": "", "description": one["description"]}
                for one in parameters
                if one["in"] == "path"
            ],
        },
        "description": operation["description"],
    }
    if not any("accessToken" in scheme for scheme in operation["security"]):
        request["auth"] = {"type": "noauth"}
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        request["body"] = _body(kind, content)
        if kind == "application/json":
            request["header"].append({"key": "Content-Type", "value": kind})
    keeps = operation["operationId"] in ("login", "register", "refresh")
    events = [{"listen": "test", "script": {"type": "text/javascript", "exec": KEEP_TOKEN}}]
    return {
        "name": operation["summary"],
        "request": request,
        **({"event": events} if keeps else {}),
    }


def _disabled(parameter: Document) -> Document:
    """Give an optional parameter, ready to be switched on."""
    return {
        "key": parameter["name"],
        "value": str(parameter["schema"].get("default", "")),
        "description": parameter.get("description", ""),
        "disabled": True,
    }


def _body(kind: str, content: Document) -> Document:
    name = content["schema"]["$ref"].rpartition("/")[2]
    if kind == "application/json":
        raw = json.dumps(EXAMPLES[name], indent=2, ensure_ascii=False)
        return {"mode": "raw", "raw": raw, "options": {"raw": {"language": "json"}}}
    field = "file" if name.startswith("Import") else "image"
    return {"mode": "formdata", "formdata": [{"key": field, "type": "file", "src": []}]}
