"""The report's figures: a tidy table in, a Plotly figure out, one function per figure.

`cost` draws memory and time, `accuracy` how well models predict, `reach` what a prediction depends
on. Every figure has the look of `style`, and tells on hover the row that a mark was drawn from. Its
`layout.meta` holds a `description`, for those who cannot see it, and, where the table was read by
`results.read`, the `caption` that says where it was measured.
"""
