# guides/ is installed as unbraid.guides; this line shows it to type checkers.
from guides import *
