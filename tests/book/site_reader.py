"""Open the pages of a site in a browser without a network."""

PHONE = {"width": 400, "height": 800}
DESKTOP = {"width": 1300, "height": 900}


def html_pages(folder):
    return sorted(p for p in folder.rglob("*.html") if "_static" not in p.relative_to(folder).parts)


class Reader:
    """A page in a browser without a network, and everything that goes wrong on it."""

    def __init__(self, browser, viewport):
        self.context = browser.new_context(viewport=viewport, offline=True)
        self.page = self.context.new_page()
        self.page.set_default_timeout(120_000)
        self.complaints = []
        self.page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        self.page.on("console", self._note_console)
        self.page.on("request", self._note_request)
        self.page.on("requestfailed", self._note_failure)

    def _note_console(self, message):
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text}")

    def _note_failure(self, request):
        # The browser aborts what it is still loading, an icon, when the test opens another page.
        if request.failure != "net::ERR_ABORTED":
            self.complaints.append(f"failed: {request.url}: {request.failure}")

    def _note_request(self, request):
        if not request.url.startswith(("file:", "data:", "blob:")):
            self.complaints.append(f"outside the site: {request.url}")

    def choose_theme(self, theme):
        self.context.add_init_script(
            f"localStorage.setItem('mode', '{theme}'); localStorage.setItem('theme', '{theme}')"
        )

    def open(self, path):
        self.page.goto(path.as_uri(), wait_until="load")
        self.page.wait_for_function(
            "[...document.querySelectorAll('figure.plotly-figure')]"
            ".every(f => f.querySelector('.js-plotly-plot svg.main-svg .trace, .hm'))"
        )
        return self.page
