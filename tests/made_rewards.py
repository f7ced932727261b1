"""Reward files as people write them, one for each habit; all of them worked in the original."""

from __future__ import annotations

from typing import Final

LINE: Final = [(round(0.3 * i, 2), round(0.1 * i * i, 2)) for i in range(150)]

_LONG = "def reward_function(params):\n    reward = 0.0\n" + "".join(
    f"    if params['steps'] % {i + 7} == 0:\n        reward += {i} / 1000.0\n" for i in range(850)
)

HABITS: Final[dict[str, bytes]] = {
    name: text if isinstance(text, bytes) else text.encode()
    for name, text in {
        "module_counter": """
count = 0
def reward_function(params):
    global count
    count += 1
    return count * 0.001
""",
        "list_over_episodes": """
history = []
def reward_function(params):
    history.append(params["speed"])
    return sum(history[-5:]) / len(history[-5:])
""",
        "class_with_state": """
class Reward:
    def __init__(self, verbose=False):
        self.previous = None
        self.verbose = verbose
    def reward_function(self, params):
        turned = 0.0 if self.previous is None else abs(params["steering_angle"] - self.previous)
        self.previous = params["steering_angle"]
        return 1.0 / (1.0 + turned)
reward_object = Reward()
def reward_function(params):
    return reward_object.reward_function(params)
""",
        "class_attribute": """
class Memory:
    progress = None
    laps = 0
    @classmethod
    def reset(cls):
        cls.progress = None
def reward_function(params):
    if Memory.progress is None or params["steps"] <= 2:
        Memory.reset()
        Memory.progress = params["progress"]
    gained = params["progress"] - Memory.progress
    Memory.progress = params["progress"]
    return float(gained)
""",
        "static_method_and_property": """
class Car:
    def __init__(self, params):
        self._params = params
    @property
    def aside(self):
        return self._params["distance_from_center"]
    @staticmethod
    def clip(value):
        return max(min(value, 1.0), 0.0)
def reward_function(params):
    car = Car(params)
    return Car.clip(1.0 - car.aside)
""",
        "function_attribute": """
def reward_function(params):
    reward_function.calls = getattr(reward_function, "calls", 0) + 1
    return 1.0 / reward_function.calls
""",
        "closure": """
def make():
    total = 0.0
    def pay(params):
        nonlocal total
        total += params["speed"]
        return total / 1000.0
    return pay
reward_function = make()
""",
        "mutable_default": """
def remember(value, seen=[]):
    seen.append(value)
    return len(seen)
def reward_function(params):
    return remember(params["x"]) * 1e-3
""",
        "lambda": "reward_function = lambda params: params['speed'] if params['all_wheels_on_track'] else 1e-3\n",
        "callable_object": """
class Pay:
    def __init__(self):
        self.n = 0
    def __call__(self, params):
        self.n += 1
        return self.n / 100
reward_function = Pay()
""",
        "generator_state": """
def counting():
    n = 0
    while True:
        n += 1
        yield n
numbers = counting()
def reward_function(params):
    return next(numbers) / 10
""",
        "imports_of_all_kinds": """
import math, random, time, json, os, sys
from math import *
from numpy import log as ln
import numpy as np
from collections import deque, namedtuple
from functools import lru_cache, partial
from itertools import islice
Point = namedtuple("Point", "x y")
def reward_function(params):
    p = Point(params["x"], params["y"])
    started = time.time()
    text = json.dumps({"x": p.x})
    return float(sqrt(p.x ** 2 + p.y ** 2) + ln(2 + params["progress"] % 7) + 0 * len(text) + 0 * (started > 0))
""",
        "import_inside": """
def reward_function(params):
    import math
    import numpy as np
    return float(np.clip(math.cos(math.radians(params["heading"])), -1, 1))
""",
        "dataclass_and_types": """
from __future__ import annotations
from dataclasses import dataclass, field
from enum import Enum
from typing import Dict, List, Optional, Tuple
class Side(Enum):
    LEFT = 1
    RIGHT = 2
@dataclass
class State:
    speeds: List[float] = field(default_factory=list)
    side: Optional[Side] = None
STATE: State = State()
def reward_function(params: Dict) -> float:
    STATE.side = Side.LEFT if params["is_left_of_center"] else Side.RIGHT
    STATE.speeds.append(params["speed"])
    return float(STATE.side.value + len(STATE.speeds))
""",
        "decorator": """
import functools
def clipped(function):
    @functools.wraps(function)
    def inner(params):
        return min(max(function(params), 1e-3), 10.0)
    return inner
@clipped
def reward_function(params):
    return params["speed"] * 100
""",
        "cache": """
from functools import lru_cache
@lru_cache(maxsize=None)
def square(x):
    return x * x
def reward_function(params):
    return square(round(params["speed"], 1))
""",
        "f_strings_and_prints": """
def reward_function(params):
    speed = params["speed"]
    print(f"speed {speed:.2f} {params['steps']=}")
    print("DRG-OBJECTS:[[1.0,2.0]]", end="\\n")
    print("%d %s" % (3, "x"), "{:.1f}".format(speed), sep=";", flush=True)
    return speed
""",
        "writes_to_streams": """
import sys
def reward_function(params):
    sys.stdout.write("a line\\n")
    sys.stderr.write("another\\n")
    sys.stdout.flush()
    return 1.0
""",
        "logging": """
import logging
logger = logging.getLogger("reward")
logging.basicConfig(level=logging.INFO)
def reward_function(params):
    logger.info("progress %s", params["progress"])
    return 1.0
""",
        "main_guard": """
def reward_function(params):
    return 0.5
if __name__ == "__main__":
    raise SystemExit("only when it is run by hand")
""",
        "byte_order_mark": b"\xef\xbb\xbfdef reward_function(params):\n    return 1.0\n",
        "windows_lines": b"import math\r\n\r\ndef reward_function(params):\r\n\treturn math.fabs(params['speed'])\r\n",
        "tabs": b"def reward_function(params):\n\tif params['speed'] > 1:\n\t\treturn 2.0\n\treturn 1.0\n",
        "latin_1": b"# -*- coding: latin-1 -*-\n# Stra\xdfe, virage serr\xe9\nNAME = 'K\xfchl'\n"
        b"def reward_function(params):\n    return float(len(NAME))\n",
        "chinese_comment": "# 奖励函数\ndef reward_function(params):\n    '''返回'''\n    return 1.0\n",
        "no_line_end": b"def reward_function(params): return 1.0",
        "form_feed_and_trailing_blanks": b"\x0cdef reward_function(params):   \n    return 1.0   \n\n\n   \n",
        "long_file": _LONG + "    return reward\n",
        "racing_line": f"""
LINE = {LINE!r}
def distance(a, b):
    return ((a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2) ** 0.5
def reward_function(params):
    here = [params["x"], params["y"]]
    distances = []
    for point in LINE:
        distances.append(distance(point, here))
    return max(1e-3, 1.0 - min(distances))
""",
        "other_argument_name": "def reward_function(p):\n    return p['speed']\n",
        "default_arguments": "def reward_function(params, scale=2.0, *rest, **more):\n    return scale\n",
        "redefined_function": "def reward_function(params):\n    return 1 / 0\n"
        "def reward_function(params):\n    return 2.0\n",
        "mutates_params": """
def reward_function(params):
    params["speed"] *= 2
    params["waypoints"].append((0, 0))
    params["waypoints"][0] = (9.0, 9.0)
    params["closest_waypoints"][0] = 99
    del params["heading"]
    return params["speed"] + len(params["waypoints"])
""",
        "keeps_params": """
last = {}
def reward_function(params):
    global last
    before, last = last, params
    return params["progress"] - before.get("progress", params["progress"])
""",
        "waypoints_directions": """
import math
def reward_function(params):
    waypoints, (before, after) = params["waypoints"], params["closest_waypoints"]
    a, b = waypoints[before], waypoints[after % len(waypoints)]
    direction = math.degrees(math.atan2(b[1] - a[1], b[0] - a[0]))
    off = abs(direction - params["heading"])
    return 1.0 - min(off, 360 - off) / 180
""",
        "numpy_scalar": "import numpy\ndef reward_function(params):\n    return numpy.float64(params['speed']) ** 2\n",
        "numpy_float32": "import numpy as np\ndef reward_function(params):\n    return np.float32(params['x'])\n",
        "numpy_0d": "import numpy as np\ndef reward_function(params):\n    return np.asarray(params['x'])\n",
        "numpy_one_element": "import numpy as np\ndef reward_function(params):\n    return np.array([params['x']])\n",
        "decimal": "from decimal import Decimal\ndef reward_function(params):\n    return Decimal('0.25')\n",
        "fraction": "from fractions import Fraction\ndef reward_function(params):\n    return Fraction(1, 4)\n",
        "text_of_a_number": "def reward_function(params):\n    return '%.2f' % params['speed']\n",
        "numpy_of_old": """
import numpy
import numpy as np
import numpy.linalg as linalg
from numpy import float as real, product
LINE = np.array([[1, 2], [3, 4]], dtype=np.float)
def reward_function(params):
    near = np.int(linalg.norm(LINE[0]))
    return real(product([near, 2])) + np.math.sqrt(4) + isinstance(True, numpy.bool) + np.in1d([3], [3])[0]
""",
        "star_of_numpy": """
from numpy import *
def reward_function(params):
    return max(0.1, min(1, 2)) + round(abs(-1.26), 1) + alltrue([params["speed"] > -1]) + pow(2, 2) + sqrt(4)
""",
        "clock_of_ros": """
import rospy
from rospy import Time
started = rospy.get_time()
def reward_function(params):
    rospy.loginfo("at %.2f", rospy.get_time())
    assert rospy.get_time() == params["sim_time"]
    return (rospy.Time.now() - Time(started)).to_sec() + rospy.get_rostime().secs
""",
        "scipy_and_shapely": """
import scipy
import scipy.interpolate as si
from scipy.spatial import KDTree
import shapely
from shapely.geometry import LineString, Point
from shapely.geometry.polygon import LinearRing
from shapely.ops import nearest_points
LINE = LineString([(0.0, 0.0), (4.0, 0.0)])
TREE = KDTree([[0.0, 0.0], [4.0, 0.0]])
def reward_function(params):
    here = Point(params["x"], params["y"])
    away, place = TREE.query([here.x, here.y])
    near = nearest_points(LINE, here)[0].distance(shapely.geometry.Point(0.0, 0.0))
    faster = si.interp1d([0.0, 8.0], [0.0, 1.0])(2.0)
    return here.distance(LINE) + LINE.project(here) - near + away + place + faster + scipy.stats.norm.pdf(0.0)
""",
        "int": "def reward_function(params):\n    return int(params['progress'])\n",
        "bool": "def reward_function(params):\n    return params['all_wheels_on_track']\n",
        "random_numbers": """
import random
import numpy as np
offset = random.random()
def reward_function(params):
    return offset + random.gauss(0, 1) + np.random.rand() + np.random.choice([1, 2, 3])
""",
        "random_with_seed": """
import random
random.seed(42)
base = random.random()
def reward_function(params):
    return base
""",
        "numpy_generator": """
import numpy as np
rng = np.random.default_rng(7)
def reward_function(params):
    return rng.random()
""",
        "try_and_bare_except": """
def reward_function(params):
    try:
        return params["no_such_key"]
    except:
        return 1e-3
""",
        "tracebacks": """
import traceback
def reward_function(params):
    try:
        return 1.0 / (params["steps"] % 3)
    except Exception as error:
        traceback.print_exc()
        status = params
        if "waypoints" in status: del status["waypoints"]
        print(status, str(error))
        return 0.001 + 0 * len(traceback.format_stack())
""",
        "get_with_default": "def reward_function(params):\n    return params.get('missing', 0.2) + params.get('x')\n",
        "star_star": "def pay(speed, progress, **others):\n    return speed + progress / 100\n"
        "def reward_function(params):\n    return pay(**params)\n",
        "walrus_match_and_star": """
def reward_function(params):
    match (params["is_left_of_center"], params["all_wheels_on_track"]):
        case (True, True):
            return 2.0
        case (_, True):
            return 1.0
    if (speed := params["speed"]) > 0:
        first, *others = params["waypoints"]
        return 1e-3 * speed + 0 * len(others)
    return 1e-3
""",
        "module_by_its_name": """
import sys
calls = 0
def reward_function(params):
    module = sys.modules[__name__]
    module.calls += 1
    return float(calls)
""",
        "finds_itself": """
def helper():
    import reward_function as myself
    myself.seen = getattr(myself, "seen", 0) + 1
    return myself.seen
def reward_function(params):
    return float(helper())
""",
        "odd_escapes_and_is": """
PATTERN = "\\d+\\.\\d"
def reward_function(params):
    kind = 1
    return 1.0 if kind is 1 else 0.5
""",
        "division_and_rounding": """
def reward_function(params):
    half = len(params["waypoints"]) // 2
    return round(half / 3, 2) + 7 // 2 + 2 ** 0.5 + -7 % 3
""",
        "steps_as_float": """
def reward_function(params):
    bonus = 10.0 if params["steps"] % 5 == 0 else 0.0
    return bonus + params["progress"] / params["steps"] + list(range(100))[int(params["steps"])]
""",
        "exec_and_eval": """
exec("SCALE = 3.0")
def reward_function(params):
    return eval("params['speed'] * SCALE")
""",
    }.items()
}
"""Bytes of each file, by its habit."""
