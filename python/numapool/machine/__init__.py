"""What the machine is: its nodes, CPUs, devices, and the hypervisor below it."""
