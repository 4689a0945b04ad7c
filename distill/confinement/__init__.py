"""One line of a shell on one folder, shut in by the operating system: it reads that folder, and can do nothing else.

Whoever wants to run one asks `confinement()` for the machine's way, None where there is none that could be proven, and
hands it to a `Confined`. What keeps the machine safe is the system alone, so nothing here looks at what the line says.
Knows nothing of traces, agents or filters.
"""

from distill.confinement.confined import Confined
from distill.confinement.proof import confinement, proven
from distill.confinement.running import Bounds, Printed
from distill.confinement.ways import Namespaces, Seatbelt, Way

__all__ = ["Bounds", "Confined", "Namespaces", "Printed", "Seatbelt", "Way", "confinement", "proven"]
