"""Archive the report: the site, its results, and the code and records of how they were made.

The archive is an RO-Crate: the project's folder with a description of its files and of which
notebook made which result, when, from which data and by which command. When unpacked it is the
project, whose two commands build the site again.

Source: Soiland-Reyes et al. 2022, "Packaging research artefacts with RO-Crate".
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from rocrate.model.contextentity import ContextEntity
from rocrate.model.entity import Entity
from rocrate.rocrate import ROCrate

from senformer.report import results
from senformer.storage import atomic_files
from senformer.workflow import notebooks, site

SITE = "site/"
"""Folder of the built site in the archive."""

_LICENSE = "https://www.apache.org/licenses/LICENSE-2.0"
_FORMATS = {
    ".ipynb": "application/x-ipynb+json",
    ".csv": "text/csv",
    ".py": "text/x-python",
    ".lock": "text/plain",
    ".cff": "text/yaml",
}


def write(destination: Path, root: Path = notebooks.ROOT) -> Path:
    """Write the archive of a project's last commit.

    Args:
        destination: The file to write, `*.zip`; its folder is created.
        root: The project, a clean checkout.

    Returns:
        `destination`.

    Raises:
        FileExistsError: If `destination` is a folder.
        ValueError: If there are uncommitted changes, the folder is no checkout, or the book does
            not build.
    """
    destination = Path(destination)
    if destination.is_dir():
        raise FileExistsError(f"{destination}: is a folder, expected a file to write")
    for path in (destination, root / "book" / "results"):
        atomic_files.repair_folder(path)  # what a killed process left would count as a change
    if changed := _git(root, "status", "--porcelain").strip():
        file = changed.splitlines()[0].strip()
        raise ValueError(f"{root}: {file} is not committed, expected a clean checkout")
    identifier, date = _git(root, "show", "--no-patch", "--format=%H %cI", "HEAD").split()
    with atomic_files.work_folder(destination) as folder:
        crate = folder / "crate"
        _git(root, "checkout-index", "--all", f"--prefix={crate}/")
        html = site.build_book(crate / "book", folder / "built")
        shutil.copytree(html, crate / SITE)
        describe(crate, {"id": identifier, "date": date}).metadata.write(crate)
        packed = shutil.make_archive(str(folder / "packed"), "zip", crate)
        Path(packed).replace(destination)
    return destination


def describe(folder: Path, commit: Mapping[str, str]) -> ROCrate:
    """Describe a project with its built site.

    Args:
        folder: The contents of the archive.
        commit: `id` and `date` of the commit.
    """
    citation = yaml.safe_load((folder / "CITATION.cff").read_text(encoding="utf-8"))
    crate = ROCrate()
    crate.name = citation["title"]
    crate.description = citation["abstract"]
    crate.datePublished = commit["date"]
    crate.license = crate.add(
        ContextEntity(crate, _LICENSE, {"@type": "CreativeWork", "name": "Apache License 2.0"})
    )
    crate.creator = []
    for author in citation["authors"]:
        name = author.get("name") or f"{author['given-names']} {author['family-names']}"
        kind = "Organization" if "name" in author else "Person"
        identifier = author.get("orcid") or f"#{name.replace(' ', '-')}"
        entity = ContextEntity(crate, identifier, {"@type": kind, "name": name})
        crate.creator.append(crate.add(entity))
    crate.root_dataset["version"] = f"{citation['version']}, commit {commit['id']}"
    crate.root_dataset["keywords"] = ", ".join(citation["keywords"])
    crate.add_dataset(
        dest_path=SITE, properties={"name": "The website", "description": "Open index.html."}
    )
    for name, description in (
        ("requirements.lock", "Version and digest of every library"),
        ("README.md", "The two commands and an overview"),
        ("CITATION.cff", "How to cite this"),
        ("LICENSE", "The licence"),
    ):
        _add_file(crate, name, description)
    for name in notebooks.ORDER:
        _add_notebook(crate, folder, name)
    return crate


def _add_notebook(crate: ROCrate, folder: Path, name: str) -> None:
    """Add a notebook, its results, and the run that made them."""
    script = _add_file(crate, f"notebooks/{name}.py", f"Source of the notebook {name}")
    made = [_add_file(crate, f"book/results/{name}.ipynb", f"The executed notebook {name}")]
    tables = sorted((folder / "book/results/data").glob(f"{name}*.csv"))
    made += [
        _add_file(crate, path.relative_to(folder).as_posix(), f"Results of the notebook {name}")
        for path in tables
    ]
    provenance = results.read(tables[0]).attrs["provenance"]
    crate.add(
        ContextEntity(
            crate,
            f"#run-{name}",
            {
                "@type": "CreateAction",
                "name": f"Run of the notebook {name}",
                "description": f"On {provenance['device']}, {provenance['data']}, at commit "
                f"{provenance['commit']}: {notebooks.command_for(name, provenance['parameters'])}",
                "endTime": provenance["time_utc"],
                "instrument": script,
                "result": made,
            },
        )
    )


def _add_file(crate: ROCrate, path: str, description: str) -> Entity:
    properties: dict[str, Any] = {"name": path.rsplit("/", 1)[-1], "description": description}
    if encoding := _FORMATS.get(Path(path).suffix):
        properties["encodingFormat"] = encoding
    return crate.add_file(dest_path=path, properties=properties)


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ValueError(f"{root}: {done.stderr.strip()}, expected a checkout of the project")
    return done.stdout
