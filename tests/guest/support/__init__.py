"""How tests inside a guest look at the kernel with eyes of their own, without numapool."""
