/*
 * Making a container's cgroups in the child stage, where the host stage has
 * left it to the plan (mod/container/recipe.ts).
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "helper.h"
#include "kernel.h"

#define BPF_PROG_LOAD 5
#define BPF_PROG_ATTACH 8
#define BPF_PROG_TYPE_CGROUP_DEVICE 15
#define BPF_CGROUP_DEVICE 6
/* Programs of the cgroups above hold too. */
#define BPF_F_ALLOW_MULTI 2

/* The parts of union bpf_attr that the two commands read; bpf(2). */
struct bpf_load {
	uint32_t prog_type;
	uint32_t insn_cnt;
	uint64_t insns;
	uint64_t license;
	uint32_t log_level;
	uint32_t log_size;
	uint64_t log_buf;
	uint32_t kern_version;
	uint32_t prog_flags;
	char prog_name[16];
	uint32_t prog_ifindex;
	uint32_t expected_attach_type;
};

struct bpf_attach {
	uint32_t target_fd;
	uint32_t attach_bpf_fd;
	uint32_t attach_type;
	uint32_t attach_flags;
};

_Static_assert(sizeof(struct bpf_load) == 72, "as the kernel has it");
_Static_assert(sizeof(struct bpf_attach) == 16, "as the kernel has it");

/* One that is there already is somebody else's, and so may be what its maker
 * is about to make under our names: only what we made goes. */
static void run_cgroup(const struct op *op)
{
	const char *path = op->a[0].p;
	int err;

	if (child.cgroups == CHILD_CGROUPS)
		fail(E2BIG, path);
	if (mkdir(path, 0755) == 0) {
		child.cgroup[child.cgroups++] = path;
		return;
	}
	err = errno;
	if (err == EEXIST) {
		while (child.cgroups)
			rmdir(child.cgroup[--child.cgroups]);
		warden_own(&child, 'N');
	}
	fail(err, path);
}

static void run_devices(const struct op *op)
{
	const struct arg *a = op->a;
	struct bpf_load load = {
		.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE,
		.insn_cnt = a[1].len / 8,
		.insns = (uint64_t)(uintptr_t)a[1].p,
		/* Only a program that calls GPL helpers must be GPL. */
		.license = (uint64_t)(uintptr_t)"Apache-2.0",
		.prog_name = "rustyrun_dev",
		.expected_attach_type = BPF_CGROUP_DEVICE,
	};
	struct bpf_attach attach = {
		.attach_type = BPF_CGROUP_DEVICE,
		.attach_flags = BPF_F_ALLOW_MULTI,
	};
	int dir, program;

	dir = open(a[0].p, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		fail(errno, a[0].p);
	program = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof(load));
	if (program < 0)
		fail(errno, "load the device program");
	attach.target_fd = (uint32_t)dir;
	attach.attach_bpf_fd = (uint32_t)program;
	if (syscall(SYS_bpf, BPF_PROG_ATTACH, &attach, sizeof(attach)) < 0)
		fail(errno, a[0].p);
	close(program);
	close(dir);
}

int run_cgroup_op(const struct op *op)
{
	switch (op->code) {
	case OP_CGROUP:
		run_cgroup(op);
		return 1;
	case OP_CGROUP_DEVICES:
		run_devices(op);
		return 1;
	case OP_OWN:
		warden_own(&child, 'C');
		return 1;
	}
	return 0;
}
