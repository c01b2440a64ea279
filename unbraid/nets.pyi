# nets/ is installed as unbraid.nets; this line shows it to type checkers.
from nets import *
