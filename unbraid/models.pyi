# models/ is installed as unbraid.models; this line shows it to type checkers.
from models import *
