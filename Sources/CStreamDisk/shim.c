// SwiftPM wants one compiled file in a C target.
#include "streamdisk.h"
