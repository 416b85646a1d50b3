package ifconfig

import (
	"fmt"
	"strings"
	"testing"
)

const allSysctls = "net.inet.carp.allow net.inet.carp.preempt net.inet.carp.log net.inet.carp.arpbalance net.inet.carp.demotion" +
	" net.inet.carp.senderr_demotion_factor net.inet.carp.ifdown_demotion_factor net.pfsync.carp_demotion_factor net.pfsync.defer_delay"

func TestParseSysctl(t *testing.T) {
	for _, tt := range []struct{ line, want, err string }{
		{"net.inet.carp.preempt", "[net.inet.carp.preempt]", ""},
		{"-w net.inet.carp.preempt=1", "[net.inet.carp.preempt=1]", ""},
		{"net.inet.carp.allow=0 net.inet.carp.log=7", "[net.inet.carp.allow=0 net.inet.carp.log=7]", ""},
		{"net.inet.carp.demotion=240", "[net.inet.carp.demotion=240]", ""},
		{"net.inet.carp.demotion=-240", "[net.inet.carp.demotion=-240]", ""},
		{"net.pfsync.defer_delay=20", "[net.pfsync.defer_delay=20]", ""},
		{"net.pfsync", "[net.pfsync.carp_demotion_factor net.pfsync.defer_delay]", ""},
		{"net", "[" + allSysctls + "]", ""},

		{"", "[]", "sysctl: expected a name, or name=value"},
		{"-w", "[]", "sysctl: expected a name, or name=value"},
		{"net.inet.carp.preempt -w", "[]", `sysctl: word "-w": expected one of ` + allSysctls},
		{"net.inet.carp.preemt=1", "[]", `sysctl: word "net.inet.carp.preemt=1": expected one of ` + allSysctls},
		{"net.inet.carp=1", "[]", `sysctl: word "net.inet.carp=1": expected one of ` + allSysctls},
		{"net.inet.ca", "[]", `sysctl: word "net.inet.ca": expected one of ` + allSysctls},
		{"net.inet.carp.preempt=2", "[]", `sysctl: word "net.inet.carp.preempt=2": expected a number, 0 to 1, and not "2"`},
		{"net.inet.carp.log=8", "[]", `sysctl: word "net.inet.carp.log=8": expected a number, 0 to 7, and not "8"`},
		{"net.inet.carp.allow=", "[]", `sysctl: word "net.inet.carp.allow=": expected a number, 0 to 1, and not ""`},
		{"net.inet.carp.demotion=2147483648", "[]",
			`sysctl: word "net.inet.carp.demotion=2147483648": expected a number, -2147483648 to 2147483647, and not "2147483648"`},
		{"net.inet.carp.senderr_demotion_factor=-1", "[]",
			`sysctl: word "net.inet.carp.senderr_demotion_factor=-1": expected a number, 0 to 2147483647, and not "-1"`},
	} {
		have, err := ParseSysctl(strings.Fields(tt.line))
		if fmt.Sprint(have) != tt.want || (err != nil || tt.err != "") && (err == nil || err.Error() != tt.err) {
			t.Errorf("sysctl %s\n got %v, %v\nwant %s, %s", tt.line, have, err, tt.want, tt.err)
		}
	}
	if have := SysctlChanged("net.inet.carp.preempt", 0, 1); have != "net.inet.carp.preempt: 0 -> 1" {
		t.Error(have)
	}
}

func TestParseSysctlConf(t *testing.T) {
	for _, tt := range []struct{ file, want, foreign, err string }{
		{"", "[]", "[]", ""},
		{"# forwarding\nnet.inet.ip.forwarding=1\t# yes\n\nnet.inet.carp.preempt = 1 # both\r\nnet.inet.carp.log=2\n",
			"[net.inet.carp.preempt=1 net.inet.carp.log=2]", "[net.inet.ip.forwarding]", ""},
		{"kern.bufcachepercent=90\nnet.inet6.ip6.forwarding=1", "[]", "[kern.bufcachepercent net.inet6.ip6.forwarding]", ""},
		{"net.inet.carp.preempt\n\nnet.inet.carp.preemt=1\nnet.inet.carp.allow=yes\nnet.pfsync=1\n", "[]", "[]",
			`sysctl.conf:1: word "net.inet.carp.preempt": expected name=value` + "\n" +
				`sysctl.conf:3: word "net.inet.carp.preemt": expected one of ` + allSysctls + "\n" +
				`sysctl.conf:4: word "net.inet.carp.allow": expected a number, 0 to 1, and not "yes"` + "\n" +
				`sysctl.conf:5: word "net.pfsync": expected one of ` + allSysctls},
	} {
		have, foreign, err := ParseSysctlConf("sysctl.conf", tt.file)
		if fmt.Sprint(have) != tt.want || fmt.Sprint(foreign) != tt.foreign || (err != nil || tt.err != "") && (err == nil || err.Error() != tt.err) {
			t.Errorf("%q\n got %v, %v, %v\nwant %s, %s, %s", tt.file, have, foreign, err, tt.want, tt.foreign, tt.err)
		}
		again, _, err := ParseSysctlConf("sysctl.conf", strings.Trim(strings.ReplaceAll(fmt.Sprint(have), " ", "\n"), "[]"))
		if err != nil || fmt.Sprint(again) != fmt.Sprint(have) {
			t.Errorf("%v, again: %v, %v", have, again, err)
		}
	}
}
