# transforms/ is installed as unbraid.transforms; this line shows it to type checkers.
from transforms import *
