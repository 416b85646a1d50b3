//go:build linux

package main

import "time"

var crash = &scenario{
	name: "crash", title: "the programs on the master are killed (SIGKILL), and started again",
	want: want{lost: detection, sessions: true},
	steps: func(p *play) {
		p.phase()
		p.crash(p.fw1)
		p.takenOver(p.fw2)
		p.recovered()
		p.start(p.fw1)
		p.settled(p.fw1)
	},
}

var power = &scenario{
	name: "power", title: "the master loses power: all packets stop; it boots with an empty kernel",
	want: want{lost: detection, sessions: true},
	steps: func(p *play) {
		p.phase()
		p.powerOff(p.fw1)
		p.takenOver(p.fw2)
		p.recovered()
		p.powerOn(p.fw1)
		p.settled(p.fw1)
	},
}

// frozen is how long a firewall stands still.
const frozen = 5 * time.Second

var freeze = &scenario{
	name: "freeze", title: "the programs on the master stand still for 5 s (SIGSTOP), and go on",
	want: want{lost: detection, sessions: true},
	steps: func(p *play) {
		p.phase()
		p.freeze(p.fw1, true)
		p.pause(frozen)
		p.freeze(p.fw1, false)
		p.settled(p.fw1)
	},
}
