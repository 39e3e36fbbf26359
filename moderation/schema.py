"""What drf-spectacular is told of merged films: every path of a film may lead elsewhere."""

from typing import Any

LOCATION = {
    "Location": {
        "description": "The same path of the film that survived.",
        "schema": {"type": "string"},
    }
}


def add_redirects(result: dict[str, Any], **kwargs: object) -> dict[str, Any]:
    """Describe the redirect of a merged film on each operation of one film."""
    for path, operations in result["paths"].items():
        if path.startswith("/movies/{"):
            for method, operation in operations.items():
                status = "301" if method == "get" else "307"
                operation["responses"][status] = {
                    "description": "This film was merged into another.",
                    "headers": LOCATION,
                }
    return result
