# data/ is installed as unbraid.data; this line shows it to type checkers.
from data import *
