"""Which hosts a download may reach: those that records name, and where they are known to lead."""

from typing import Any
from urllib.parse import urlsplit

from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter

from shared.errors import StageError

# Host of a published file, and the hosts that it hands files over to.
LISTED: dict[str, tuple[str, ...]] = {
    "cv.snu.ac.kr": (),
    "github.com": ("objects.githubusercontent.com", "release-assets.githubusercontent.com"),
    "raw.githubusercontent.com": (),
}


def check_listed(url: str) -> None:
    """Refuse a record whose file lies at a host that is not listed.

    Args:
        url: of a published file.

    Raises:
        StageError: another host, or not https.
    """
    parts = urlsplit(url)
    if parts.scheme != "https" or parts.hostname not in LISTED:
        raise StageError(
            f"{url}: expected https and one of {', '.join(LISTED)} (stages/weights/hosts.py), "
            f"found {parts.scheme} and {parts.hostname}"
        )


class HostAdapter(HTTPAdapter):
    """Sends requests to the host of one address and where it is listed to lead, to no other.

    requests hands every request to it, that of a redirect as well, before a name is looked up.
    """

    def __init__(self, url: str) -> None:
        """Allow the hosts of an address.

        Args:
            url: http or https; from https no redirect leads to http.
        """
        super().__init__()
        parts = urlsplit(url)
        self.secure = parts.scheme == "https"
        self.hosts = (parts.hostname or "", *LISTED.get(parts.hostname or "", ()))

    def send(self, request: PreparedRequest, *args: Any, **kwargs: Any) -> Response:
        """Send a request.

        Raises:
            StageError: to another host, or in plain text where https was asked for.
        """
        parts = urlsplit(request.url or "")
        if parts.hostname not in self.hosts or (self.secure and parts.scheme != "https"):
            places = " or ".join(self.hosts)
            raise StageError(
                f"expected the file at {places}, found a redirect to "
                f"{parts.scheme}://{parts.hostname}; --mirror takes it from another place"
            )
        return super().send(request, *args, **kwargs)
