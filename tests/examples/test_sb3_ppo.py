"""The example for Stable-Baselines3: it runs, and its adapter neither loses nor mixes up how episodes end."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from oracles import oracle

from lateapex.env.racing import RacingVectorEnv
from lateapex.env.starts import RandomStarts

EXAMPLE = Path(__file__).parents[2] / "examples" / "sb3_ppo.py"
CAMERA = "FRONT_FACING_CAMERA"
CARS, STEPS, LONGEST = 4, 30, 11


@pytest.fixture(scope="module")
def example() -> Any:
    oracle("stable_baselines3", "stable-baselines3", "the example does not run")
    spec = importlib.util.spec_from_file_location("sb3_ppo", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def cars() -> RacingVectorEnv:
    """Episodes that end by a rule within a few steps, or are cut off after 11."""
    starts = RandomStarts(offset=0.6, heading=1.2)
    return RacingVectorEnv("oval", CARS, height=40, width=52, threads=1, max_steps=LONGEST, starts=starts)


def test_the_example_trains_saves_and_can_be_loaded(
    example: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "model.zip"
    words = ["--track", "oval", "--cars", "8", "--rollout", "32", "--steps", "300", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", ["sb3_ppo.py", *words])
    example.main()
    said = capsys.readouterr().out
    assert "total_timesteps | 512" in " ".join(said.split())
    assert "mean progress" in said
    model = example.PPO.load(out, device="cpu")
    action, _ = model.predict({CAMERA: np.zeros((3, 1, 60, 80), np.uint8)})
    assert action.shape == (3,)


def test_the_adapter_tells_what_the_environment_tells(example: Any) -> None:
    plain, adapted = cars(), example.SB3VecEnv(cars())
    adapted.seed(5)
    seen = adapted.reset()
    np.testing.assert_array_equal(seen[CAMERA], plain.reset(seed=5)[0][CAMERA])
    random, ends = np.random.default_rng(0), {"terminated": 0, "truncated": 0}
    for _ in range(STEPS):
        actions = random.integers(0, 10, CARS)
        observation, reward, terminated, truncated, info = plain.step(actions)
        seen, rewards, done, infos = adapted.step(actions)
        np.testing.assert_array_equal(seen[CAMERA], observation[CAMERA])
        np.testing.assert_array_equal(rewards, reward.astype(np.float32))
        np.testing.assert_array_equal(done, terminated | truncated)
        for car in range(CARS):
            if not done[car]:
                assert infos[car] == {}
                continue
            ends["truncated" if truncated[car] else "terminated"] += 1
            last = infos[car]["terminal_observation"][CAMERA]
            np.testing.assert_array_equal(last, info["final_obs"][car][CAMERA])
            assert not np.array_equal(last, seen[CAMERA][car])  # the first picture of the next episode
            assert infos[car]["TimeLimit.truncated"] is bool(truncated[car])
            assert infos[car]["progress"] == info["final_info"]["progress"][car]
            assert infos[car]["episode_status"] == info["final_info"]["episode_status"][car]
    assert min(ends.values()) > 0


def test_only_a_cut_off_episode_is_paid_for_what_its_last_state_is_worth(example: Any) -> None:
    paid, ends = [], []

    class Noted(example.SB3VecEnv):  # type: ignore[misc, name-defined] # the example is imported from its path
        def step_wait(self) -> Any:
            observation, rewards, done, infos = super().step_wait()
            paid.append(rewards.copy())
            ends.append(infos)
            return observation, rewards, done, infos

    model = example.PPO("MultiInputPolicy", Noted(cars()), n_steps=STEPS, batch_size=CARS * STEPS, n_epochs=1, seed=2)
    first = {name: value.clone() for name, value in model.policy.state_dict().items()}
    model.learn(STEPS * CARS)
    model.policy.load_state_dict(first)
    buffer = model.rollout_buffer
    rewards = buffer.rewards.reshape(STEPS, CARS)
    added = rewards - np.stack(paid)
    for t in range(STEPS):
        for car in range(CARS):
            expected = 0.0
            if ends[t][car].get("episode_status") == "in_progress":
                last = model.policy.obs_to_tensor(ends[t][car]["terminal_observation"])[0]
                with torch.no_grad():
                    expected = model.gamma * float(model.policy.predict_values(last)[0])
            assert added[t, car] == pytest.approx(expected, abs=1e-5)
    assert np.count_nonzero(added) > 0


def test_an_environment_that_begins_anew_a_step_later_is_refused(example: Any) -> None:
    env = gym.make_vec("CartPole-v1", num_envs=2)
    with pytest.raises(ValueError, match="SAME_STEP is needed"):
        example.SB3VecEnv(env)
    env.close()
