"""The night on a timer of the user's own session: when one is due, and the timer that asks every half hour."""
