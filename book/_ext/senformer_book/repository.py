"""Where the code lies: one address, `repository.url` in `_config.yml`, and all links that need it.

While it is empty nothing is shown. With it the pages have a button that leads there, and the
package's reference a link to the source of each function and class.
"""

import inspect
from importlib import import_module
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.config import Config

from senformer.workflow.notebooks import ROOT

BRANCH = "main"


def setup(app: Sphinx) -> None:
    """Register with Sphinx."""
    app.setup_extension("sphinx.ext.linkcode")
    app.connect("config-inited", _lead_there)


def source_address(url: str, module: str, name: str) -> str | None:
    """The address of what a module defines; none where no repository is set or nothing is there.

    Args:
        url: of the repository; may be empty.
        module: with its package, such as `senformer.model.trunk`.
        name: of a function or class in it, or of a class's member.
    """
    if not url:
        return None
    found: Any = import_module(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    try:
        file = Path(inspect.getsourcefile(inspect.unwrap(found)) or "")
        _, line = inspect.getsourcelines(inspect.unwrap(found))
    except (TypeError, OSError):  # a constant has no place of its own
        return None
    if not file.is_relative_to(ROOT):
        return None
    return f"{url.rstrip('/')}/blob/{BRANCH}/{file.relative_to(ROOT).as_posix()}#L{line}"


def _lead_there(app: Sphinx, config: Config) -> None:
    url = str(config.html_theme_options.get("repository_url") or "")
    config.html_theme_options["use_repository_button"] = bool(url)
    config.linkcode_resolve = lambda domain, info: (
        source_address(url, info["module"], info["fullname"]) if domain == "py" else None
    )
