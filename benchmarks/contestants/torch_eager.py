"""PyTorch, eager."""

import time

import numpy as np
import torch


def net_of(case, params):
    """The network with these parameters, and its optimizer."""
    layers = []
    for i, (p, rate) in enumerate(zip(params, case.rates, strict=True)):
        linear = torch.nn.Linear(*p["W"].shape)
        with torch.no_grad():
            linear.weight.copy_(torch.asarray(np.array(p["W"].T)))
            linear.bias.copy_(torch.asarray(np.array(p["b"][0])))
        if rate:
            layers.append(torch.nn.Dropout(rate))
        layers.append(linear)
        if i < len(params) - 1:
            layers.append(torch.nn.ReLU() if case.activation == "relu" else torch.nn.Sigmoid())
    net = torch.nn.Sequential(*layers)
    return net, optimizer_of(case, net)


def optimizer_of(case, net):
    if case.optimizer == "adam":
        return torch.optim.Adam(net.parameters(), lr=case.lr, eps=1e-7, fused=True)
    return torch.optim.SGD(net.parameters(), lr=case.lr)


def train(case, params, X, y):
    net, optimizer = net_of(case, params)
    loss_of = torch.nn.CrossEntropyLoss()
    X, y = torch.asarray(X), torch.asarray(y.astype(np.int64))

    def run(orders):
        for order in orders:
            torch.randperm(case.rows)  # as by hand
            order, total = torch.asarray(order), torch.zeros(())
            for start in range(0, len(order), case.batch):
                rows = order[start : start + case.batch]
                optimizer.zero_grad()
                loss = loss_of(net(X[rows]), y[rows])
                loss.backward()
                optimizer.step()
                total += loss.detach() * len(rows)
            total = float(total)
        return total / case.rows

    return run


def to_98(net, optimizer, batch, train, test):
    """Seconds to 98 % of the test rows, the rate falling by a fifth an epoch."""
    x, t, x_test, t_test = (torch.asarray(a.astype("i8") if a.ndim == 1 else a) for a in (*train, *test))
    start = time.perf_counter()
    for _ in range(10):
        net.train()
        for rows in torch.randperm(len(x)).split(batch):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(net(x[rows]), t[rows]).backward()
            optimizer.step()
        for group in optimizer.param_groups:
            group["lr"] *= 0.8
        net.eval()
        with torch.no_grad():
            if (net(x_test).argmax(1) == t_test).float().mean() >= 0.98:
                break
    return time.perf_counter() - start
