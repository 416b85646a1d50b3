//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// keepalived is keepalived(8) with VRRPv3, both sides in a group.
var keepalived = &pair{
	name: "keepalived", tools: []string{"keepalived"}, tied: true,
	start: startKeepalived,
	maintenance: func(b *bench, n *node, on bool) error {
		level := "0"
		if on {
			level = "1"
		}
		return os.WriteFile(filepath.Join(n.dir, "maintenance"), []byte(level+"\n"), 0o644)
	},
	settled: func(*bench, *node) error { return nil },
}

// keepalivedConfig takes: directory, host name, priority, advert interval, path of the
// notify script of the group.
const keepalivedConfig = `global_defs {
	router_id %[2]s
	vrrp_version 3
	vrrp_garp_master_delay 1
	vrrp_garp_master_repeat 2
	script_user root
	enable_script_security
}
vrrp_track_file maintenance {
	file %[1]s/maintenance
	weight -100
}
vrrp_sync_group both {
	group {
		LAN
		WAN
	}
	notify %[5]s
	track_file {
		maintenance
	}
}
vrrp_instance LAN {
	state BACKUP
	interface lan
	virtual_router_id 10
	priority %[3]d
	advert_int %[4]g
	virtual_ipaddress {
		192.0.2.1/32
	}
}
vrrp_instance WAN {
	state BACKUP
	interface wan
	virtual_router_id 20
	priority %[3]d
	advert_int %[4]g
	virtual_ipaddress {
		198.51.100.1/32
	}
}
`

// startKeepalived starts it on a firewall. If there is a script "states" in its
// directory, it is told of each new state.
func startKeepalived(b *bench, n *node) error {
	priority, interval := 150, float64(b.timers.advBase)
	if n.Name != "fw1" {
		priority = 100
	}
	if b.timers.advBase == 0 {
		interval = max(0.01, float64(b.timers.interval()/(10*time.Millisecond))/100) // in hundredths
	}
	notify := filepath.Join(n.dir, "notify")
	err := write(n.dir,
		file{"maintenance", "0\n"},
		file{"notify", "#!/bin/sh\n" + n.note("$1 $3") + fmt.Sprintf("[ ! -x %[1]s ] || %[1]s $3\n", filepath.Join(n.dir, "states"))},
		file{"keepalived.conf", fmt.Sprintf(keepalivedConfig, n.dir, n.Name, priority, interval, notify)})
	if err != nil {
		return err
	}
	path, err := lookTool("keepalived")
	if err != nil {
		return err
	}
	in := func(name string) string { return filepath.Join(n.dir, name) }
	return n.start("keepalived", exec.Command(path, "-n", "-l", "-D", "-f", in("keepalived.conf"),
		"-p", in("keepalived.pid"), "-r", in("vrrp.pid"), "-c", in("checkers.pid"), "--vrrp"))
}
