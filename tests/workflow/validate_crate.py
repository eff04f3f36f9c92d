"""Validate an RO-Crate without a network; run by the Python of `make archive-validator`.

The validator asks the web for the vocabulary that a crate is written in. Here it is given the copy
that the library which writes crates brings along.
"""

import io
import subprocess
import sys
import tempfile
from pathlib import Path

from requests.adapters import HTTPAdapter
from requests_cache import CachedSession
from urllib3 import HTTPResponse


class OneFile(HTTPAdapter):
    """What answers in the web's place."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.content = Path(path).read_bytes()

    def send(self, request, **options):
        headers = {"Content-Type": "application/ld+json"}
        body = io.BytesIO(self.content)
        raw = HTTPResponse(body, headers, status=200, preload_content=False)
        return self.build_response(request, raw)


def main(crate: str, vocabulary: str, url: str) -> int:
    with tempfile.TemporaryDirectory() as folder:
        cache = str(Path(folder) / "cache")
        session = CachedSession(cache, expire_after=-1, backend="sqlite")
        session.mount("https://", OneFile(vocabulary))
        assert session.get(url).ok
        session.close()
        validator = str(Path(sys.executable).with_name("rocrate-validator"))
        command = [validator, "-y", "validate", crate, "--no-paging", "--offline"]
        command += ["--requirement-severity", "required", "--cache-path", cache]
        return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
