//go:build linux

package main

import (
	"fmt"
	"os/exec"
	"path/filepath"
)

// ucarp is ucarp(8): a process for each side, no synchronisation of states, and no
// tie between the sides.
var ucarp = &pair{
	name: "ucarp", tools: []string{"ucarp"},
	start: func(b *bench, n *node) error {
		err := write(n.dir,
			file{"up", "#!/bin/sh\nip addr add $2/32 dev $1\n" + n.note("$1 MASTER")},
			file{"down", "#!/bin/sh\nip addr del $2/32 dev $1\n" + n.note("$1 BACKUP")})
		if err != nil {
			return err
		}
		path, err := lookTool("ucarp")
		if err != nil {
			return err
		}
		for vhid, side := range [][2]string{{lan, lanVIP}, {wan, wanVIP}} {
			segment, vip := side[0], side[1]
			err := n.start("ucarp-"+segment, exec.Command(path, "-i", segment, "-s", n.addr(segment),
				"-v", fmt.Sprint(vhid+1), "-p", "secret", "-a", vip, "-b", fmt.Sprint(b.timers.advBase),
				"-k", fmt.Sprint(b.timers.skew(n)), "-r", "3", "-P", "-z", "-n",
				"-u", filepath.Join(n.dir, "up"), "-d", filepath.Join(n.dir, "down")))
			if err != nil {
				return err
			}
		}
		return nil
	},
	settled: func(*bench, *node) error { return nil },
}
