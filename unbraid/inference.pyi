# inference/ is installed as unbraid.inference; this line shows it to type checkers.
from inference import *
