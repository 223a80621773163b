"""How likely each lobe is, from a place's height and depth in its lung alone: fissures aren't looked for.

A fissure's usual course is a line in the lung's sagittal section: depth from front (0) to back (1), height from the
lowest point (0) to the apex (1) of the lung's own extent. The lines were read by eye, by one observer, on sagittal
reformats of seven chest CTs of LIDC-IDRI and QIN LUNG CT, where they could be seen: the oblique fissure in 7 left and
5 right lungs, the horizontal one in 4. Drawn through the other lungs' readings, the oblique line missed those of the
lung left out by 0.042 (root mean square, both sides). The spread below is wider: lungs whose fissures can't be read
may differ more. It holds for whole, aerated lungs; in collapse the fissures move (in one such lung by 0.1 to 0.2).
"""

from __future__ import annotations

from math import erf, sqrt

import numpy as np

from imaging import codes
from imaging.codes import Code
from pipelines.lung_nodule.lungs import RIGHT

# heights of the oblique fissure at depths; beyond the ends the line goes on level
_OBLIQUE_DEPTHS = (0.1, 0.6, 1.0)
_OBLIQUE_RIGHT = (0.16, 0.525, 0.655)
_OBLIQUE_LEFT = (0.10, 0.52, 0.89)
_HORIZONTAL = 0.55
_OBLIQUE_SPREAD = 0.06
_HORIZONTAL_SPREAD = 0.08


def lobe_shares(side: int, depth: float, height: float) -> dict[Code, float]:
    """Probability of each lobe at a place in a lung; they add up to 1.

    Parameters
    ----------
    side
        ``RIGHT`` or ``LEFT``; the lingula belongs to the left upper lobe.
    depth, height
        0..1 of the lung's extent: from its front to its back, from its lowest point to its apex.
    """
    course = _OBLIQUE_RIGHT if side == RIGHT else _OBLIQUE_LEFT
    oblique = float(np.interp(depth, _OBLIQUE_DEPTHS, course))
    above = _normal((height - oblique) / _OBLIQUE_SPREAD)
    if side != RIGHT:
        return {codes.UPPER_LOBE: above, codes.LOWER_LOBE: 1 - above}
    upper = _normal((height - _HORIZONTAL) / _HORIZONTAL_SPREAD)
    return {codes.UPPER_LOBE: above * upper, codes.MIDDLE_LOBE: above * (1 - upper), codes.LOWER_LOBE: 1 - above}


def _normal(z: float) -> float:
    return (1 + erf(z / sqrt(2))) / 2
