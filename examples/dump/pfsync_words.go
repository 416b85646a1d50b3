package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/gocarp/gocarp/pfsync"
)

// tcpdumpNames are what OpenBSD's tcpdump calls the actions. It does not know
// those of FreeBSD with a number of a format.
var tcpdumpNames = map[string]string{
	"CLR": "CLR ST", "OINS": "INS ST OLD", "INS_ACK": "INS ST ACK", "OUPD": "UPD ST OLD",
	"UPD_C": "UPD ST COMP", "UPD_REQ": "UPD ST REQ", "DEL": "DEL ST", "DEL_C": "DEL ST COMP",
	"INS_F": "INS FR", "DEL_F": "DEL FR", "BUS": "BULK UPD STAT", "OTDB": "UPD TDB OLD",
	"EOF": "EOF", "INS": "INS ST", "UPD": "UPD ST", "TDB": "UPD TDB",
	"INS_1301": "INS ST 1301", "UPD_1301": "UPD ST 1301", "INS_1400": "INS ST 1400",
	"UPD_1400": "UPD ST 1400", "INS_1500": "INS ST 1500", "UPD_1500": "UPD ST 1500",
}

func tcpdumpName(action string) string {
	if name, ok := tcpdumpNames[action]; ok {
		return name
	}
	return "UNKNOWN id " + action
}

// word is the word for v, or the mere number of what has no word, which package
// pfsync puts into the name of its type.
func word(v fmt.Stringer) string {
	s := v.String()
	if _, n, ok := strings.Cut(strings.TrimSuffix(s, ")"), "("); ok {
		return n
	}
	return s
}

// afName is inet, inet6 or a number of the wire. Decoding exchanges the number of
// IPv6 on the wire with Linux's, 10: so a 10 from the wire, the mistake of a peer on
// Linux, has become the number of that BSD.
func afName(d pfsync.Dialect, af pfsync.AF) string {
	if d == pfsync.OpenBSD && af == 24 || d != pfsync.OpenBSD && af == 28 {
		return strconv.Itoa(int(pfsync.AFInet6))
	}
	return word(af)
}

// printable is s without what could do something to a terminal.
func printable(s string) string {
	quoted := strconv.QuoteToASCII(s)
	return quoted[1 : len(quoted)-1]
}
