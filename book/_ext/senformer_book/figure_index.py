"""The index of figures: where each of the study's is on this site, as a table with links."""

from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from senformer.report.figures.builders import StudyFigure
from senformer.report.study_figures import STUDY_FIGURES
from senformer_book.notebook_pages import figure_id
from senformer_book.tables import link, table


class FigureIndex(SphinxDirective):
    """The directive `figure-index`: a row for each figure of the study."""

    def run(self) -> list[nodes.Node]:
        """Build the table."""
        heads = ["The study's figure", "Shows", "Notebook", "Drawn by", "Table"]
        return [table(heads, [self._row(figure) for figure in STUDY_FIGURES])]

    def _row(self, figure: StudyFigure) -> list[nodes.Element]:
        module, function = figure.function.rsplit(".", 1)
        cells: list[nodes.Node] = [
            nodes.Text(str(figure.number)),
            link(figure.shows, self._address_of(figure)),
            nodes.literal("", f"notebooks/{figure.notebook}.py"),
            link(
                f"{module.rsplit('.', 1)[-1]}.{function}",
                f"{self._address('api_report')}#{figure.function}",
            ),
            nodes.literal("", figure.table),
        ]
        return [nodes.paragraph("", "", cell) for cell in cells]

    def _address_of(self, figure: StudyFigure) -> str:
        """The figure on its page; the page, where this run drew none, as where nothing compiled."""
        page = self._address(f"results/{figure.notebook}")
        notebook = Path(self.env.srcdir) / "results" / f"{figure.notebook}.ipynb"
        self.env.note_dependency(str(notebook))
        is_drawn = f'"drawn_by": "{figure.function}"' in notebook.read_text(encoding="utf-8")
        anchor = f"#{figure_id(figure.notebook, figure.function)}" if is_drawn else ""
        return page + anchor

    def _address(self, docname: str) -> str:
        return self.env.app.builder.get_relative_uri(self.env.docname, docname)


def setup(app: Sphinx) -> None:
    """Register with Sphinx."""
    app.add_directive("figure-index", FigureIndex)
