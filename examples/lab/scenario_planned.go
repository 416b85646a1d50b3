//go:build linux

package main

import (
	"errors"
	"time"
)

var planned = &scenario{
	name: "planned", title: "the master is stopped (SIGTERM), started again, and takes back",
	want: want{lost: nothing, sessions: true},
	steps: func(p *play) {
		p.stop(p.fw1)
		p.takenOver(p.fw2)
		p.pause(300 * time.Millisecond)
		p.start(p.fw1)
		p.settled(p.fw1)
	},
}

var maintenance = &scenario{
	name: "maintenance", title: "the master is told to let the other one do the work, and to take it back",
	want: want{lost: nothing, sessions: true},
	able: func(p *pair) error {
		if p.maintenance == nil {
			return errors.New("it has no command for it")
		}
		return nil
	},
	steps: func(p *play) {
		p.do(p.fw1, "maintenance on", func() error { return p.pair.maintenance(p.bench, p.fw1, true) })
		p.takenOver(p.fw2)
		p.pause(500 * time.Millisecond)
		p.do(p.fw1, "maintenance off", func() error { return p.pair.maintenance(p.bench, p.fw1, false) })
		p.settled(p.fw1)
	},
}

var masterReboots = &scenario{
	name: "master-reboots", title: "the master is shut down in order, boots with an empty kernel, and returns",
	want: want{lost: nothing, sessions: true},
	steps: func(p *play) {
		p.reboot(p.fw1)
		p.settled(p.fw1)
	},
}

var backupReboots = &scenario{
	name: "backup-reboots", title: "the backup is shut down in order, and boots with an empty kernel",
	want: want{lost: nothing, sessions: true},
	steps: func(p *play) {
		p.reboot(p.fw2)
		p.settled(p.fw1)
	},
}

// reboot takes a firewall down in order, and up again.
func (p *play) reboot(n *node) {
	p.stop(n)
	p.takenOver(p.other(n))
	p.do(n, "power off", func() error { return p.cut(n, segments...) })
	p.pause(time.Second)
	p.powerOn(n)
}
