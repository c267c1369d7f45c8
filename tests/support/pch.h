// What nearly every unit of the server's tests includes, compiled once.
#pragma once

#include "../../server/pch.h"
#include "catch.h"
