"""The directive `figure-index`: a table with links to each of the study's figures on this site."""

from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from senformer.report.figures.builders import StudyFigure
from senformer.report.study_figures import STUDY_FIGURES
from senformer_book.notebook_pages import figure_id
from senformer_book.tables import link, table


class FigureIndex(SphinxDirective):
    """Build a table with a row for each of the study's figures."""

    def run(self) -> list[nodes.Node]:
        """Build the table."""
        headings = ["The study's figure", "Shows", "Notebook", "Drawn by", "Table"]
        return [table(headings, [self._cells(figure) for figure in STUDY_FIGURES])]

    def _cells(self, figure: StudyFigure) -> list[nodes.Element]:
        *_, module, function = figure.function.split(".")
        api_page = self._relative_uri("api_report")
        cells: list[nodes.Node] = [
            nodes.Text(str(figure.number)),
            link(figure.shows, self._figure_uri(figure)),
            nodes.literal("", f"notebooks/{figure.notebook}.py"),
            link(f"{module}.{function}", f"{api_page}#{figure.function}"),
            nodes.literal("", figure.table),
        ]
        return [nodes.paragraph("", "", cell) for cell in cells]

    def _figure_uri(self, figure: StudyFigure) -> str:
        """Return the address of the figure, or of its page if this run did not draw it."""
        page = self._relative_uri(f"results/{figure.notebook}")
        notebook = Path(self.env.srcdir) / "results" / f"{figure.notebook}.ipynb"
        self.env.note_dependency(str(notebook))
        is_drawn = f'"drawn_by": "{figure.function}"' in notebook.read_text(encoding="utf-8")
        return f"{page}#{figure_id(figure.notebook, figure.function)}" if is_drawn else page

    def _relative_uri(self, docname: str) -> str:
        return self.env.app.builder.get_relative_uri(self.env.docname, docname)


def setup(app: Sphinx) -> None:
    """Register the directive."""
    app.add_directive("figure-index", FigureIndex)
