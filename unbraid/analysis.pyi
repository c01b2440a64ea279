# analysis/ is installed as unbraid.analysis; this line shows it to type checkers.
from analysis import *
