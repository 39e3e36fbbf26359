"""One example of each body, by the name of its schema in the OpenAPI document.

A test checks each against its schema, and that no JSON body is without one.
"""

from typing import Any

WHEN = "2026-05-01T18:30:00Z"
LATER = "2026-05-02T07:05:00Z"
POSTER = "01968c5e-7d3a-7b1e-9d55-3f1c2a4b5d6e"
AVATAR = "01968c5e-9a10-7f42-8c11-6e5d4c3b2a19"
LOGIN = "01968c5e-0b7c-7d20-a3f4-1a2b3c4d5e6f"
TOKEN = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIzIn0.c2lnbmF0dXJl"
PASSWORD = "a shelf of my own"
EMAIL = "ada@example.com"
DISTRIBUTION = {"1": 0, "2": 2, "3": 4, "4": 13, "5": 15}
NUMBERS = {"averageRating": 4.21, "ratingCount": 34, "ratingDistribution": DISTRIBUTION}

MOVIE_IN = {
    "title": "Dune (2021)",
    "releaseDate": "2021-10-22",
    "synopsis": "A duke's son comes to a desert planet that everybody wants.",
    "trailerUrl": "https://video.example/dune",
    "posterMediaId": POSTER,
}
PUBLIC_USER = {"id": 3, "name": "Ada", "avatarUrl": f"/media/{AVATAR}"}
USER = {
    **PUBLIC_USER,
    "email": EMAIL,
    "role": "user",
    "avatarMediaId": AVATAR,
    "createdAt": WHEN,
}
RATING = {"id": 11, "movieId": 7, "userId": 3, "value": 5, "createdAt": WHEN, "updatedAt": LATER}
REVIEW_IN = {"content": "I <3 this: two hours, no dull minute."}
SESSION = {
    "id": LOGIN,
    "createdAt": WHEN,
    "lastUsedAt": LATER,
    "userAgent": "Mozilla/5.0 (X11; Linux x86_64)",
    "ip": "192.0.2.7",
    "current": True,
}
TOKENS = {"accessToken": TOKEN, "expiresIn": 900}
REPORT_IN = {"reason": "spoiler", "note": "It gives the end away in the first line."}
MOVIE_REPORT_IN = {"reason": "duplicate", "note": "This is film 40 under another title."}
COUNTS = {
    **dict.fromkeys(("created", "skipped", "ambiguous"), 0),
    "matched": 1,
    "failed": 1,
    **dict.fromkeys(("ratingsChanged", "ratingsUnchanged", "ratingsKept"), 0),
    "ratingsAdded": 1,
    **dict.fromkeys(("reviewsAdded", "reviewsUnchanged"), 0),
}
UNDONE_COUNTS = dict.fromkeys(
    (
        "ratingsRemoved",
        "ratingsRestored",
        "ratingsKept",
        "reviewsRemoved",
        "reviewsKept",
        "moviesRemoved",
        "moviesKept",
    ),
    0,
)
IMPORT = {
    "id": 9,
    "format": "letterboxd_ratings",
    "status": "done",
    "dryRun": False,
    "createMissing": False,
    "rowCount": 2,
    "rowsDone": 2,
    "counts": COUNTS,
    "undoneCounts": UNDONE_COUNTS,
    "error": None,
    "createdAt": WHEN,
    "updatedAt": LATER,
    "finishedAt": LATER,
}
ROW = {
    "row": 1,
    "outcome": "matched",
    "reason": None,
    "message": None,
    "title": "Dune",
    "year": 2021,
    "given": "4.5",
    "value": 5,
    "movieId": 7,
    "rating": "added",
    "oldValue": None,
    "review": None,
    "reviewId": None,
    "candidates": None,
}

EXAMPLES: dict[str, Any] = {
    "RegisterRequest": {"name": "Ada", "email": EMAIL, "password": PASSWORD},
    "LoginRequest": {"email": EMAIL, "password": PASSWORD},
    "LoginAnswer": {**TOKENS, "user": USER},
    "Token": TOKENS,
    "AskResetRequest": {"email": EMAIL},
    "ConfirmResetRequest": {"token": "3-cz5m7q-9f2b6c1d4e5a", "password": "another shelf of mine"},
    "PasswordChangeRequest": {
        "currentPassword": PASSWORD,
        "newPassword": "another shelf of mine",
    },
    "DeletionRequest": {"password": PASSWORD},
    "User": USER,
    "PatchedUserRequest": {"name": "Ada L."},
    "Session": SESSION,
    "SessionList": {"items": [SESSION]},
    "Profile": {
        **PUBLIC_USER,
        "createdAt": WHEN,
        "movieCount": 2,
        "reviewCount": 5,
        "ratingCount": 34,
    },
    "Export": {
        "user": USER,
        "sessions": [],
        "movies": [],
        "ratings": [],
        "reviews": [],
        "reports": [],
        "media": [],
        "imports": [],
    },
    "Movie": {
        "id": 7,
        **MOVIE_IN,
        "posterUrl": f"/media/{POSTER}",
        "createdBy": 3,
        "createdAt": WHEN,
        "updatedAt": LATER,
        **NUMBERS,
        "reviewCount": 5,
        "rank": 12,
    },
    "MovieRequest": MOVIE_IN,
    "PatchedMovieRequest": {"synopsis": "Spice, sand and a prophecy."},
    "Standing": {
        "rank": 12,
        "score": 3.932,
        "averageRating": 4.21,
        "ratingCount": 34,
        "prior": {"mean": 3.0, "weight": 10},
        "above": {"id": 40, "title": "Ikiru", "score": 3.94},
        "below": {"id": 2, "title": "Heat", "score": 3.9},
    },
    "UploadAnswer": {"mediaId": POSTER, "url": f"/media/{POSTER}"},
    "Review": {
        "id": 21,
        "movieId": 7,
        "userId": 3,
        "user": PUBLIC_USER,
        **REVIEW_IN,
        "rating": 5,
        "hidden": False,
        "createdAt": WHEN,
        "updatedAt": LATER,
    },
    "ReviewRequest": REVIEW_IN,
    "PatchedReviewChangeRequest": {"content": "Better still the second time."},
    "ReviewReportRequest": REPORT_IN,
    "ReviewReport": {"id": 4, "reviewId": 21, **REPORT_IN, "createdAt": LATER},
    "MovieReportRequest": MOVIE_REPORT_IN,
    "MovieReport": {"id": 5, "movieId": 7, **MOVIE_REPORT_IN, "createdAt": LATER},
    "Rating": RATING,
    "RatingRequest": {"value": 5},
    "Rated": {**RATING, **NUMBERS},
    "OwnRating": {
        **{name: value for name, value in RATING.items() if name != "userId"},
        "movie": {"id": 7, "title": "Dune (2021)", "posterUrl": f"/media/{POSTER}"},
    },
    "Import": IMPORT,
    "ReportedImport": {
        **IMPORT,
        "report": {"items": [ROW], "page": 1, "pageSize": 20, "total": 1, "totalPages": 1},
    },
    "Changes": {
        "items": [
            {
                "type": "review",
                "id": 21,
                "change": "created",
                "movie": None,
                "review": {
                    "id": 21,
                    "movieId": 7,
                    "userId": 3,
                    **REVIEW_IN,
                    "createdAt": WHEN,
                    "updatedAt": LATER,
                },
            },
            {"type": "movie", "id": 9, "change": "deleted", "movie": None, "review": None},
        ],
        "next": "MS5mMjE4MDlkODA4NzAubXIuMjEzMTQuMjEzMTQuMC4w",
        "more": False,
    },
    "Home": {
        "name": "MovieShelf",
        "version": "1.0.0",
        "openapi": "/openapi.json",
        "docs": "/docs",
        "movies": "/movies",
        "changes": "/changes",
    },
    "Limits": {
        "maxBytes": 5_242_880,
        "maxPixels": 40_000_000,
        "maxSide": 16_000,
        "types": ["image/jpeg", "image/png", "image/webp"],
        "widths": [160, 320, 640, 1280],
    },
}
