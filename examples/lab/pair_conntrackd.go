//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// keepalivedConntrackd is keepalived(8) with conntrackd(8) beside it, in the way that
// is best for connections: states are put into the kernel as they arrive. To commit
// them at a takeover, as usual, comes too late for many of them.
var keepalivedConntrackd = &pair{
	name: "keepalived+conntrackd", tools: []string{"keepalived", "conntrackd"}, syncs: true, tied: true,
	start: func(b *bench, n *node) error {
		peer := b.fw1
		if n == b.fw1 {
			peer = b.fw2
		}
		path, err := lookTool("conntrackd")
		if err != nil {
			return err
		}
		config := filepath.Join(n.dir, "conntrackd.conf")
		err = write(n.dir,
			file{"conntrackd.conf", fmt.Sprintf(conntrackdConfig, n.addr(link), peer.addr(link), n.dir)},
			file{"states", fmt.Sprintf(conntrackdStates, path, config)})
		if err != nil {
			return err
		}
		control := filepath.Join(n.dir, "conntrackd.ctl")
		for _, left := range []string{control, filepath.Join(n.dir, "conntrackd.lock")} {
			os.Remove(left) // of one that was killed
		}
		if err := n.start("conntrackd", exec.Command(path, "-C", config)); err != nil {
			return err
		}
		for end := time.Now().Add(stopTimeout); ; time.Sleep(10 * time.Millisecond) {
			if _, err := os.Stat(control); err == nil {
				break // keepalived may ask it for something
			}
			if time.Now().After(end) || n.ended() != nil {
				return fmt.Errorf("%s: conntrackd does not answer: %s", n.Name, n.daemons[len(n.daemons)-1].said())
			}
		}
		return startKeepalived(b, n)
	},
	maintenance: keepalived.maintenance,
	settled:     keepalived.settled,
}

// conntrackdConfig takes: own address, the other one's, directory.
const conntrackdConfig = `Sync {
	Mode FTFW {
		DisableExternalCache On
	}
	UDP {
		IPv4_address %[1]s
		IPv4_Destination_Address %[2]s
		Port 3780
		Interface sync
		SndSocketBuffer 8388608
		RcvSocketBuffer 8388608
		Checksum on
	}
	Options {
		TCPWindowTracking Off
	}
}
General {
	HashSize 65536
	HashLimit 524288
	LogFile %[3]s/conntrackd.txt
	LockFile %[3]s/conntrackd.lock
	UNIX {
		Path %[3]s/conntrackd.ctl
	}
	NetlinkBufferSize 8388608
	NetlinkBufferSizeMaxGrowth 33554432
	Filter From Kernelspace {
		Protocol Accept {
			TCP
			UDP
		}
		Address Ignore {
			IPv4_address 127.0.0.1
			IPv4_address %[1]s
			IPv4_address %[2]s
		}
	}
}
`

// conntrackdStates takes: path of conntrackd, its configuration. A new master sends all
// that it knows, a new backup asks for it.
const conntrackdStates = `#!/bin/sh
c="%[1]s -C %[2]s"
case $1 in
MASTER) $c -R; $c -B ;;
BACKUP) $c -n ;;
esac
`
