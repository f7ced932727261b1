"""Train Stable-Baselines3's PPO on lateapex: `pip install stable-baselines3`, then `python examples/sb3_ppo.py`.

Copy `SB3VecEnv`: it makes a VecEnv of Stable-Baselines3 out of a vector environment of Gymnasium whose episodes begin
anew within the step that ends them (`AutoresetMode.SAME_STEP`), as those of `lateapex.RacingVectorEnv` do.

    python examples/sb3_ppo.py --track kidney --steps 200000 --out kidney.zip
"""

from __future__ import annotations

import argparse
import os
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch is imported: threads that wait leave cores to others

import numpy as np
from gymnasium import Wrapper
from gymnasium.vector import AutoresetMode, VectorEnv
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecEnv, VecMonitor

import lateapex


class SB3VecEnv(VecEnv):
    """A vector environment of Gymnasium with dictionaries of observations, as Stable-Baselines3 wants it.

    Where an episode ends, what comes back as observation is the first of the next one. What was seen last goes into
    `info["terminal_observation"]`, and `info["TimeLimit.truncated"]` says whether the episode was only cut off: the
    algorithm then adds what that last state is worth, which it must not do where the car has left the track.
    """

    def __init__(self, env: VectorEnv[Any, Any, Any]) -> None:
        if env.metadata.get("autoreset_mode") is not AutoresetMode.SAME_STEP:
            raise ValueError(f"autoreset_mode is {env.metadata.get('autoreset_mode')}; SAME_STEP is needed")
        self.env = env
        self.actions = env.action_space.sample()
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)

    def reset(self) -> Any:
        """Start a new episode of every car; the first seed given to `seed` is that of all."""
        observations, infos = self.env.reset(seed=self._seeds[0])
        self._reset_seeds()
        self.reset_infos = [_of_car(infos, car) for car in range(self.num_envs)]
        return observations

    def step_async(self, actions: np.ndarray[Any, Any]) -> None:
        """Note the actions."""
        self.actions = actions

    def step_wait(self) -> Any:
        """Take the step."""
        observations, rewards, terminated, truncated, infos = self.env.step(self.actions)
        done = terminated | truncated
        told: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for car in np.flatnonzero(done):
            told[car] = {
                **_of_car(infos["final_info"], car),
                "terminal_observation": infos["final_obs"][car],
                "TimeLimit.truncated": bool(truncated[car] and not terminated[car]),
            }
        return observations, rewards.astype(np.float32), done, told

    def close(self) -> None:
        """Close the environment."""
        self.env.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """Return an attribute that all cars share."""
        return [getattr(self.env, attr_name) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Refuse: the cars are one object."""
        del value, indices
        raise AttributeError(f"{attr_name} belongs to all cars; set it on the environment itself")

    def env_method(self, method_name: str, *arguments: Any, indices: Any = None, **named: Any) -> list[Any]:
        """Refuse: the cars are one object."""
        del arguments, indices, named
        raise AttributeError(f"{method_name} concerns all cars; call it on the environment itself")

    def env_is_wrapped(self, wrapper_class: type[Wrapper[Any, Any, Any, Any]], indices: Any = None) -> list[bool]:
        """Tell that no car has a wrapper of its own."""
        del wrapper_class
        return [False for _ in self._get_indices(indices)]


def _of_car(infos: dict[str, Any], car: int) -> dict[str, Any]:
    """What is told of one car: `infos` has an array for each name, and under `_name` which cars it is about."""
    return {name: values[car] for name, values in infos.items() if not name.startswith("_") and infos[f"_{name}"][car]}


def main() -> None:
    """Train, and save what was learned."""
    parser = argparse.ArgumentParser(description="Train Stable-Baselines3's PPO on lateapex.")
    parser.add_argument("--track", default="kidney", help="name of a track, or path of a route file")
    parser.add_argument("--cars", type=int, default=32)
    parser.add_argument("--steps", type=int, default=100_000, help="steps over all cars, rounded up to whole rollouts")
    parser.add_argument("--rollout", type=int, default=64, help="steps of each car between two updates")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default="sb3_ppo.zip", help="where the model goes")
    options = parser.parse_args()

    cars = lateapex.RacingVectorEnv(options.track, options.cars, reward="centre_line", height=60, width=80)
    env = VecMonitor(SB3VecEnv(cars), info_keywords=("progress", "episode_status"))
    model = PPO(
        "MultiInputPolicy",  # observations are a dictionary: one network of convolutions for each camera
        env,
        n_steps=options.rollout,
        batch_size=256,
        n_epochs=4,
        gamma=0.97,
        ent_coef=0.01,
        seed=options.seed,
        device="cpu",
        verbose=1,
    )
    model.learn(options.steps)
    model.save(options.out)
    ended = list(model.ep_info_buffer or [])
    progress = np.mean([episode["progress"] for episode in ended]) if ended else float("nan")
    laps = sum(episode["episode_status"] == "lap_complete" for episode in ended)
    print(f"last {len(ended)} episodes: {laps} laps, mean progress {progress:.0f} %; {options.out} holds the model")


if __name__ == "__main__":
    main()
