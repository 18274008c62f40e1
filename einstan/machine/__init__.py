"""machine: how fast this machine is: what its speed is (rates), how it is measured, where that is kept."""
