"""From the network's grid of cells to things: which cells belong together, and their votes."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .facts import COLOURS, KINDS, SIZES

FEWEST = 9  # cells; the smallest subject covers about thirty
NEAREST = 8  # cells between the middles of two things; the layout leaves ten
WIDEST = 24  # cells of 32; nothing in Pocket World is wider: what is wider may be two things ...
WAIST = 0.7  # ... if it is so much thinner where they meet; else a model drew one thing too large


@dataclass(frozen=True)
class Thing:
    """One thing that the checker sees.

    Attributes:
        kind, colour, size: As in ``Subject``.
        accessory: What it wears, or None.
        x, y: Its middle, from 0 (left, top) to 1.
        share: How much of the picture it covers, 0 to 1.
        sure: How sure the checker is of kind and colour, 0 to 1.
        cells: Where it is, without what it wears: booleans [32, 32].
        worn_cells: Where that is.
    """

    kind: str
    colour: str
    size: str
    accessory: str | None
    x: float
    y: float
    share: float
    sure: float
    cells: np.ndarray | None = field(default=None, compare=False, repr=False)
    worn_cells: np.ndarray | None = field(default=None, compare=False, repr=False)


def components(here: np.ndarray) -> list[np.ndarray]:
    """Returns the cells [n, 2] of every connected region (corners count) of a boolean grid."""
    left = {(int(r), int(c)) for r, c in np.argwhere(here)}
    found = []
    while left:
        region, edge = [], [left.pop()]
        while edge:
            r, c = edge.pop()
            region.append((r, c))
            for dr in (-1, 0, 1):
                for dc in (-1, 0, 1):
                    if (r + dr, c + dc) in left:
                        left.remove((r + dr, c + dc))
                        edge.append((r + dr, c + dc))
        found.append(np.array(region))
    return found


def _distance(a: np.ndarray, b: np.ndarray) -> int:
    return int(np.abs(a[:, None] - b[None]).max(-1).min())


def _extent(cells: np.ndarray) -> int:
    return int((cells.max(0) - cells.min(0)).max()) + 1


def _split(region: np.ndarray, kinds: np.ndarray) -> list[np.ndarray]:
    """Parts two things that touch: two kinds, or one kind with a waist, over an impossible width.

    Args:
        region: Cells [n, 2].
        kinds: Each cell's kind, -1 where it shows an accessory [n].
    """
    count = np.bincount(kinds[kinds >= 0], minlength=len(KINDS))
    first, second = np.argsort(-count, kind="stable")[:2]
    if count[second] >= max(FEWEST, 0.2 * len(region)):
        middles = [region[kinds == k].mean(0) for k in (first, second)]
        away = [((region - m) ** 2).sum(1) for m in middles]
        side = away[0] > away[1]
        # Two things lie apart, each on its own side. One thing that the network cannot make up its
        # mind about has both kinds all over it.
        settled = (kinds == first) | (kinds == second)
        pure = (side == (kinds == second))[settled].mean()
        if pure > 0.8 and np.linalg.norm(middles[0] - middles[1]) >= NEAREST:
            return [region[~side], region[side]]
    if _extent(region) > WIDEST:
        axis = int(np.argmax(region.max(0) - region.min(0)))
        at = region[:, axis] - region[:, axis].min()
        filled = np.bincount(at)
        third = len(filled) // 3
        between = np.arange(third, len(filled) - third)
        # The emptiest column (or row) parts them; of several, the one nearest to the middle.
        off = np.abs(between - len(filled) / 2)
        cut = int(between[np.lexsort((off, filled[between]))[0]])
        if filled[cut] < WAIST * min(filled[:cut].max(), filled[cut:].max()):
            return [region[at < cut], region[at >= cut]]
    return [region]


def _joined(regions: list[np.ndarray], kind_of: list[int]) -> list[np.ndarray]:
    """Puts crumbs (a puff of smoke, a sail) back to the thing that they came off."""
    order = sorted(range(len(regions)), key=lambda i: -len(regions[i]))
    kept: list[tuple[int, np.ndarray]] = []
    for i in order:
        region, kind = regions[i], kind_of[i]
        for j, (other_kind, other) in enumerate(kept):
            crumb = len(region) < FEWEST or kind < 0
            same = kind == other_kind and len(region) < 0.4 * len(other)
            both = np.vstack([other, region])
            if (crumb or same) and _distance(region, other) <= 2 and _extent(both) <= WIDEST:
                kept[j] = (other_kind, both)
                break
        else:
            if len(region) >= FEWEST and kind >= 0:
                kept.append((kind, region))
    return [region for _, region in kept]


def things_of(
    label: np.ndarray,
    colour: np.ndarray,
    size: np.ndarray,
    worn: np.ndarray,
    names: tuple[str, ...],
) -> tuple[Thing, ...]:
    """Groups cells into things, largest first.

    Args:
        label: Probabilities [1 + kinds + accessories, h, w]; 0 is "nothing".
        colour: Probabilities [colours, h, w].
        size: Probabilities [sizes, h, w].
        worn: Probabilities [1 + accessories, h, w].
        names: What ``worn`` counts: "nothing" first.
    """
    best = label.argmax(0)
    kind_at = np.where((best >= 1) & (best <= len(KINDS)), best - 1, -1)
    regions, kinds = [], []
    for whole in components(best > 0):
        for region in _split(whole, kind_at[whole[:, 0], whole[:, 1]]):
            if len(region) == 0:
                continue
            here = kind_at[region[:, 0], region[:, 1]]
            count = np.bincount(here[here >= 0], minlength=len(KINDS))
            regions.append(region)
            kinds.append(int(count.argmax()) if count.sum() * 3 >= len(region) else -1)
    out = []
    for region in _joined(regions, kinds):
        r, c = region[:, 0], region[:, 1]
        kind = label[1 : 1 + len(KINDS), r, c].sum(1)
        votes = [p[:, r, c].mean(1) for p in (colour, size, worn)]
        wears = names[int(votes[2].argmax())]
        is_worn = best[r, c] > len(KINDS)
        out.append(
            Thing(
                KINDS[int(kind.argmax())],
                COLOURS[int(votes[0].argmax())],
                SIZES[int(votes[1].argmax())],
                None if wears == names[0] else wears,
                x=float((c.mean() + 0.5) / best.shape[1]),
                y=float((r.mean() + 0.5) / best.shape[0]),
                share=len(region) / best.size,
                sure=float(kind.max() / max(kind.sum(), 1e-9) * votes[0].max()),
                cells=_grid(region[~is_worn], best.shape),
                worn_cells=_grid(region[is_worn], best.shape),
            )
        )
    return tuple(sorted(out, key=lambda t: -t.share))


def _grid(cells: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    grid = np.zeros(shape, dtype=bool)
    grid[cells[:, 0], cells[:, 1]] = True
    return grid
