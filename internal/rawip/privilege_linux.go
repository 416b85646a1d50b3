package rawip

const privilege = "CAP_NET_RAW"
