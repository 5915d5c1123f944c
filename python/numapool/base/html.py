"""Writes HTML for notebooks and reports: tables, bars, marks. All text is escaped.

Colours are those of whatever the HTML stands in (currentColor, transparent grounds), so that it is
legible on light and dark. Styles are inline: notebooks and mail leave out style sheets.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as typing has it, which takes long to load
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_LINE = "1px solid rgba(127,127,127,.45)"
_CELL = "padding:.2em .8em .2em 0;vertical-align:top;background:none;"
#: Paths break anywhere, and columns keep a width for words.
_WRAPS = "overflow-wrap:anywhere;min-width:5em"
_CAPTION = "text-align:left;color:inherit;padding:.2em 0;font-weight:bold;white-space:nowrap"
_GOOD, _BAD, _UNSURE = "45,164,78", "218,54,51", "191,135,0"
#: From good to bad, for grounds of cells.
_HEAT = ("45,164,78", "138,154,40", "191,135,0", "207,100,30", "218,54,51")


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def escaped(value: object) -> Html:
    """Return a value as HTML; text is escaped, and what would steer a terminal is left as it is."""
    if isinstance(value, Html):
        return value
    text = str(value)
    for plain, safe in (
        ("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;"), ("'", "&#x27;"),
    ):  # fmt: skip
        text = text.replace(plain, safe)
    return Html(text)


def join(parts: Iterable[object]) -> Html:
    """Return parts one after the other."""
    return Html("".join(map(escaped, parts)))


def table(
    headings: Sequence[object],
    rows: Iterable[Sequence[object]],
    *,
    left: Iterable[int] = (0,),
    caption: str = "",
) -> Html:
    """Return a table that scrolls where it is too wide.

    Parameters
    ----------
    headings : sequence
    rows : iterable of sequences
        Cells; those made by :func:`ground` bring a ground of their own.
    left : iterable of int
        Columns that are aligned to the left; the others hold figures.
    caption : str
        What stands above it.
    """
    aligned = frozenset(left)

    def cell(tag: str, index: int, value: object) -> str:
        side = "left;" + _WRAPS if index in aligned else "right;white-space:nowrap"
        line = f"border-bottom:{_LINE};" if tag == "th" else ""
        grounds = value.style if isinstance(value, _Grounded) else ""
        scope = ' scope="col"' if tag == "th" else ""
        style = f"{_CELL}text-align:{side};{line}{grounds}"
        return f'<{tag}{scope} style="{style}">{escaped(value)}</{tag}>'

    def row(tag: str, values: Sequence[object]) -> str:
        return "<tr>" + "".join(cell(tag, i, one) for i, one in enumerate(values)) + "</tr>"

    head = row("th", headings) if any(map(str, headings)) else ""
    body = "".join(row("td", one) for one in rows)
    title = f'<caption style="{_CAPTION}">{escaped(caption)}</caption>' if caption else ""
    return Html(
        '<div style="overflow-x:auto;max-width:100%">'
        '<table style="border-collapse:collapse;border:none;color:inherit;font-size:.9em;'
        'font-variant-numeric:tabular-nums;margin:.4em 0">'
        f"{title}<thead>{head}</thead><tbody>{body}</tbody></table></div>"
    )


def facts(pairs: Iterable[tuple[object, object]]) -> Html:
    """Return names and values, a line for each."""
    return table(("", ""), [(note(name), value) for name, value in pairs], left=(0, 1))


def note(value: object) -> Html:
    """Return words that stand back."""
    return Html(f'<span style="opacity:.7">{escaped(value)}</span>')


def strong(value: object) -> Html:
    """Return words that stand out."""
    return Html(f"<strong>{escaped(value)}</strong>")


def bar(share: float, width_em: float = 8) -> Html:
    """Return a bar that is filled from 0 to 1; the figure is beside it for those who see none."""
    filled = 100 * min(max(share, 0.0), 1.0)
    return Html(
        f'<span role="img" aria-label="{filled:.0f} %" style="display:inline-block;'
        f'width:{width_em}em;height:.8em;border:{_LINE};box-sizing:border-box">'
        f'<span style="display:block;height:100%;width:{filled:.1f}%;background:currentColor;'
        'opacity:.55;print-color-adjust:exact;-webkit-print-color-adjust:exact"></span></span>'
    )


def mark(available: bool | None, *, essential: bool = True) -> Html:
    """Return yes, no or unknown, with a sign and a background; red only if it is essential."""
    sign, word, colour = {
        True: ("✓", "yes", _GOOD),
        False: ("✗", "no", _BAD if essential else _UNSURE),
        None: ("?", "unknown", _UNSURE),
    }[available]
    return Html(
        f'<span style="background:rgba({colour},.25);border-radius:.3em;padding:0 .4em;'
        f'white-space:nowrap">{sign} {word}</span>'
    )


class _Grounded(Html):
    """A cell with a ground of its own."""

    __slots__ = ("style",)
    style: str


def ground(value: object, share: float) -> Html:
    """Return a cell for :func:`table` whose ground says how bad it is, from 0 to 1."""
    colour = _HEAT[min(max(int(share * len(_HEAT)), 0), len(_HEAT) - 1)]
    cell = _Grounded(escaped(value))
    cell.style = f"background:rgba({colour},.3);padding-left:.6em;padding-right:.6em;"
    return cell


def fragment(*parts: object, title: str = "") -> str:
    """Return what ``_repr_html_`` returns: parts below each other, with a title."""
    head = f'<div style="font-weight:bold">{escaped(title)}</div>' if title else ""
    return f'<div class="numapool" style="color:inherit">{head}{join(parts)}</div>'
