"""The report's figures: each function takes a tidy table and returns a Plotly figure.

`builders` draws panels of dots, lines and bands, `style` holds colours and markers, and the other
modules hold one function per figure. A mark shows its row of the table on hover. `layout.meta`
holds a `description` for readers who cannot see the figure, the function and the file that the
figure comes from, and a `caption` that says where the table was measured.
"""
