"""Hypothesis strategies for scenes."""

from hypothesis import strategies as st

from sdlearn import world
from sdlearn.world import Scene, Subject

subjects = st.builds(
    Subject,
    kind=st.sampled_from(world.KINDS),
    colour=st.sampled_from(world.COLOURS),
    size=st.sampled_from(world.SIZES),
    accessory=st.sampled_from((None, *world.ACCESSORIES)),
)


@st.composite
def scenes(draw) -> Scene:
    """Any scene at all, held out or not."""
    who = draw(st.lists(subjects, min_size=1, max_size=2))
    return Scene(
        tuple(who),
        draw(st.sampled_from(world.RELATIONS)) if len(who) == 2 else None,
        draw(st.sampled_from(world.PLACES)),
        draw(st.sampled_from(world.STYLES)),
        draw(st.integers(0, 2**40)),
    )
