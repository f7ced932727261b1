"""Other ways to collect: workers on other machines, and what they share with the trainer."""
