"""Every route of MovieShelf on one page, in the order of the contract."""

from django.contrib import admin
from django.urls import path, register_converter
from django.views.generic import RedirectView

from accounts.passwords import PasswordChangeView, PasswordResetConfirmView, PasswordResetView
from accounts.profiles import (
    AvatarView,
    ExportView,
    MeView,
    ProfileView,
    SessionsView,
    SessionView,
)
from accounts.views import LoginView, LogoutView, RefreshView, RegisterView
from changes.views import ChangesView
from imports.views import ImportReportView, ImportsView, ImportView
from media.views import MediaLimitsView, serve_media
from movies.views import MovieRankView, MovieViewSet, PosterView
from movieshelf.admin_login import admin_login
from movieshelf.converters import IdConverter
from movieshelf.health import healthz, readyz
from movieshelf.reference.pages import OpenAPIView, docs, docs_guide, home
from movieshelf.scraping import MetricsView
from ratings.files import OwnRatingsFileView
from ratings.mine import OwnRatingsView
from ratings.views import MovieRatingView
from reviews.reporting import MovieReportView, ReviewReportView
from reviews.views import MovieReviewsView, ReviewViewSet

register_converter(IdConverter, "id")

urlpatterns = [
    path("", home),
    path("auth/register", RegisterView.as_view()),
    path("auth/login", LoginView.as_view()),
    path("auth/refresh", RefreshView.as_view()),
    path("auth/logout", LogoutView.as_view()),
    path("auth/password-reset", PasswordResetView.as_view()),
    path("auth/password-reset/confirm", PasswordResetConfirmView.as_view()),
    path("users/me", MeView.as_view()),
    path("users/me/avatar", AvatarView.as_view()),
    path("users/me/password", PasswordChangeView.as_view()),
    path("users/me/sessions", SessionsView.as_view()),
    path("users/me/sessions/<uuid:pk>", SessionView.as_view()),
    path("users/me/ratings", OwnRatingsView.as_view()),
    path("users/me/ratings.csv", OwnRatingsFileView.as_view()),
    path("users/me/export", ExportView.as_view()),
    path("users/<id:pk>", ProfileView.as_view()),
    path("movies", MovieViewSet.as_view({"get": "list", "post": "create"})),
    path(
        "movies/<id:pk>",
        MovieViewSet.as_view({"get": "retrieve", "patch": "partial_update", "delete": "destroy"}),
    ),
    path("movies/<id:pk>/poster", PosterView.as_view()),
    path("movies/<id:pk>/report", MovieReportView.as_view()),
    path("movies/<id:pk>/rank", MovieRankView.as_view()),
    path("movies/<id:movie_id>/reviews", MovieReviewsView.as_view()),
    path("movies/<id:movie_id>/rating", MovieRatingView.as_view()),
    path(
        "reviews/<id:pk>",
        ReviewViewSet.as_view({"get": "retrieve", "patch": "partial_update", "delete": "destroy"}),
    ),
    path("reviews/<id:pk>/report", ReviewReportView.as_view()),
    path("imports", ImportsView.as_view()),
    path("imports/<id:import_id>", ImportView.as_view()),
    path("imports/<id:import_id>/report.csv", ImportReportView.as_view()),
    path("changes", ChangesView.as_view()),
    path("media/limits", MediaLimitsView.as_view()),
    path("media/<uuid:pk>", serve_media),
    path("healthz", healthz),
    path("readyz", readyz),
    path("metrics", MetricsView.as_view()),
    path("openapi.json", OpenAPIView.as_view(), name="openapi"),
    path("docs", docs),
    path("docs/<slug:slug>", docs_guide),
    path("admin", RedirectView.as_view(url="/admin/")),
    path("admin/login/", admin_login),
    path("admin/", admin.site.urls),
]

handler404 = "movieshelf.middleware.not_found"
handler500 = "movieshelf.middleware.server_error"
