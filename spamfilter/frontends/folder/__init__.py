"""The watched folder: files dropped in are scanned and come out in `ham/`, `unsure/` or `spam/`, marked."""

from spamfilter.frontends.folder.frontend import FolderFrontend

__all__ = ["FolderFrontend"]
