"""Link the site to the code's repository, whose address is `repository.url` in `_config.yml`.

If the address is empty, pages show no repository button and no links to source code.
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
    """Register `sphinx.ext.linkcode` and configure it."""
    app.setup_extension("sphinx.ext.linkcode")
    app.connect("config-inited", configure_links)


def configure_links(app: Sphinx | None, config: Config) -> None:
    """Turn the repository button and the source links on if the address is set."""
    url = str(config.html_theme_options.get("repository_url") or "")
    config.html_theme_options["use_repository_button"] = bool(url)
    config.linkcode_resolve = lambda domain, info: (
        source_address(url, info["module"], info["fullname"]) if domain == "py" and url else None
    )


def source_address(url: str, module: str, name: str) -> str | None:
    """Return the address of a definition's first line, or None if it has no source here.

    Args:
        url: Address of the repository.
        module: Full name of the module, such as `senformer.model.trunk`.
        name: Name of a function, a class or a class member in the module.
    """
    found: Any = import_module(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    found = inspect.unwrap(found)
    try:
        file = Path(inspect.getsourcefile(found) or "")
        _, line = inspect.getsourcelines(found)
    except (TypeError, OSError):  # constants have no source
        return None
    if not file.is_relative_to(ROOT):
        return None
    return f"{url.rstrip('/')}/blob/{BRANCH}/{file.relative_to(ROOT).as_posix()}#L{line}"
