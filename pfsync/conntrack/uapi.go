package conntrack

// Numbers of linux/netlink.h and linux/netfilter/nfnetlink_conntrack.h. They
// stand here, and not in a file for Linux only, so that messages can be read and
// made on any system.

const (
	nlHeaderLen  = 16 // struct nlmsghdr
	nfHeaderLen  = 4  // struct nfgenmsg
	attrLen      = 4  // struct nlattr
	attrNested   = 0x8000
	attrTypeMask = 0x3fff
)

// Flags of struct nlmsghdr.
const (
	flagRequest  = 0x1
	flagAck      = 0x4
	flagDumpIntr = 0x10
	flagDump     = 0x300
	flagExcl     = 0x200
	flagCreate   = 0x400
)

// Types of messages.
const (
	msgError  = 2
	msgDone   = 3
	msgNew    = 0x100
	msgGet    = 0x101
	msgDelete = 0x102
)

// Address families, as Linux numbers them.
const (
	familyUnspec = 0
	familyIPv4   = 2
	familyIPv6   = 10
)

// CTA_*, the attributes of an entry.
const (
	ctaTupleOrig     = 1
	ctaTupleReply    = 2
	ctaStatus        = 3
	ctaProtoInfo     = 4
	ctaNATSrc        = 6
	ctaTimeout       = 7
	ctaMark          = 8
	ctaCountersOrig  = 9
	ctaCountersReply = 10
	ctaID            = 12
	ctaNATDst        = 13
	ctaSeqAdjOrig    = 15
	ctaSeqAdjReply   = 16
	ctaZone          = 18
	ctaTimestamp     = 20
	ctaMarkMask      = 21
	ctaFilter        = 25
)

// Attributes within others.
const (
	ctaTupleIP    = 1
	ctaTupleProto = 2
	ctaTupleZone  = 3

	ctaIPv4Src = 1
	ctaIPv4Dst = 2
	ctaIPv6Src = 3
	ctaIPv6Dst = 4

	ctaProtoNum        = 1
	ctaProtoSrcPort    = 2
	ctaProtoDstPort    = 3
	ctaProtoICMPID     = 4
	ctaProtoICMPType   = 5
	ctaProtoICMPCode   = 6
	ctaProtoICMPv6ID   = 7
	ctaProtoICMPv6Type = 8
	ctaProtoICMPv6Code = 9

	ctaProtoInfoTCP = 1

	ctaTCPState       = 1
	ctaTCPWScaleOrig  = 2
	ctaTCPWScaleReply = 3
	ctaTCPFlagsOrig   = 4
	ctaTCPFlagsReply  = 5

	ctaNATv4Min = 1
	ctaNATv4Max = 2
	ctaNATProto = 3
	ctaNATv6Min = 4
	ctaNATv6Max = 5

	ctaNATPortMin = 1
	ctaNATPortMax = 2

	ctaCountersPackets = 1
	ctaCountersBytes   = 2

	ctaTimestampStart = 1

	ctaFilterOrigFlags = 1
	filterProtoNum     = 1 << 3 // a bit of the flags: CTA_PROTO_NUM of the tuple counts

	ctaSeqAdjPos    = 1
	ctaSeqAdjBefore = 2
	ctaSeqAdjAfter  = 3
)
