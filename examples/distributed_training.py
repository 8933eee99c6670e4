# examples/distributed_training.py -- the digits of train_digits.py, learned by several processes together
"""Every process takes its share of each batch, and the gradients are averaged; so all keep the same parameters.

pip install "nhwc[mpi,examples]"
python examples/distributed_training.py                  # one process
mpirun -n 2 python examples/distributed_training.py      # two

On two machines that reach each other by ssh and have the same files, with their names in a file `hosts`, one a line:

mpirun -n 2 -ppn 1 -f hosts python examples/distributed_training.py     # MPICH, Intel MPI; the one of nhwc[mpi]
mpirun -n 2 --map-by node --hostfile hosts python examples/distributed_training.py     # Open MPI

Under Slurm, with the cluster's own MPI (`pip install --no-binary mpi4py mpi4py` builds for it):

srun --nodes 2 --ntasks-per-node 1 --mpi=pmix python examples/distributed_training.py
"""

import argparse

import numpy as np
from shared import positive
from train_digits import init_params, load_digits, loss_fn, network

import nhwc as mx
import nhwc.optimizers as optim


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=positive, default=25, help="passes over the training images (default 25)")
    parser.add_argument("--batch", type=positive, default=64, help="images a step, of all processes (default 64)")
    parser.add_argument("--seed", type=int, default=0, help="of weights and batches")
    args = parser.parse_args()

    group = mx.distributed.init()
    mx.random.seed(args.seed)  # the same everywhere: equal weights, equal batches
    (images, labels), (test_x, test_y) = load_digits()
    images, labels = mx.array(images), mx.array(labels)
    params = init_params()
    batch = min(args.batch, len(labels)) // group.size() * group.size()
    if batch == 0:
        parser.error(f"--batch must be at least the number of processes, {group.size()}")
    steps = len(labels) // batch
    optimizer = optim.Adam(optim.cosine_decay(3e-3, args.epochs * steps), bias_correction=True)
    value_and_grad = mx.compile(mx.value_and_grad(loss_fn))

    for epoch in range(args.epochs):
        order = mx.random.permutation(len(labels))
        losses = []
        for i in range(steps):
            mine = order[i * batch + group.rank() : (i + 1) * batch : group.size()]
            loss, gradients = value_and_grad(params, images[mine], labels[mine])
            params = optimizer.apply_gradients(mx.distributed.average_gradients(gradients), params)
            mx.eval(params, optimizer.state)
            losses.append(loss)
        mean = mx.distributed.all_sum(mx.stack(losses).mean()).item() / group.size()
        if group.rank() == 0:
            print(f"epoch {epoch + 1}: loss {mean:.4f}", flush=True)

    said = np.array(mx.argmax(network(params, mx.array(test_x)), axis=-1))
    if group.rank() == 0:
        print(f"{group.size()} processes; test accuracy: {100 * np.mean(said == test_y):.1f} %")


if __name__ == "__main__":
    main()
