# find_package(tidegate) makes the targets
#
#   tidegate::shared    the shared library
#   tidegate::static    the static library, and what it needs of the system
#   tidegate::tidegate  the first, or the second where BUILD_SHARED_LIBS is set and false
#
# Each brings the folder of tidegate.h and tidegate.hpp. find_package(tidegate COMPONENTS static) insists on one that
# was installed. All is found from where this file lies, so that an installed tree may be moved.
cmake_minimum_required(VERSION 3.15)

get_filename_component(_tidegate_prefix "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
set(_tidegate_shared_name "${CMAKE_SHARED_LIBRARY_PREFIX}tidegate${CMAKE_SHARED_LIBRARY_SUFFIX}")
set(_tidegate_static_name "${CMAKE_STATIC_LIBRARY_PREFIX}tidegate${CMAKE_STATIC_LIBRARY_SUFFIX}")

# What a Rust static library needs, as `rustc --print native-static-libs` says.
set(_tidegate_shared_needs "")
set(_tidegate_static_needs "")
if(UNIX AND NOT APPLE)
  set(_tidegate_static_needs gcc_s util rt pthread m dl)
endif()

foreach(_tidegate_kind IN ITEMS shared static)
  unset(_tidegate_file)
  foreach(_tidegate_folder IN ITEMS lib lib64 "lib/${CMAKE_LIBRARY_ARCHITECTURE}")
    if(NOT _tidegate_file AND EXISTS "${_tidegate_prefix}/${_tidegate_folder}/${_tidegate_${_tidegate_kind}_name}")
      set(_tidegate_file "${_tidegate_prefix}/${_tidegate_folder}/${_tidegate_${_tidegate_kind}_name}")
    endif()
  endforeach()
  if(_tidegate_file AND NOT TARGET tidegate::${_tidegate_kind})
    string(TOUPPER ${_tidegate_kind} _tidegate_type)
    add_library(tidegate::${_tidegate_kind} ${_tidegate_type} IMPORTED)
    set_target_properties(tidegate::${_tidegate_kind} PROPERTIES
      IMPORTED_LOCATION "${_tidegate_file}"
      INTERFACE_INCLUDE_DIRECTORIES "${_tidegate_prefix}/include"
      INTERFACE_LINK_LIBRARIES "${_tidegate_${_tidegate_kind}_needs}")
  endif()
  if(TARGET tidegate::${_tidegate_kind})
    set(tidegate_${_tidegate_kind}_FOUND TRUE)
  endif()
endforeach()

if(NOT TARGET tidegate::tidegate)
  add_library(tidegate::tidegate INTERFACE IMPORTED)
  if(TARGET tidegate::static AND (NOT TARGET tidegate::shared OR (DEFINED BUILD_SHARED_LIBS AND NOT BUILD_SHARED_LIBS)))
    set_target_properties(tidegate::tidegate PROPERTIES INTERFACE_LINK_LIBRARIES tidegate::static)
  else()
    set_target_properties(tidegate::tidegate PROPERTIES INTERFACE_LINK_LIBRARIES tidegate::shared)
  endif()
endif()

foreach(_tidegate_component IN LISTS tidegate_FIND_COMPONENTS)
  if(tidegate_FIND_REQUIRED_${_tidegate_component} AND NOT tidegate_${_tidegate_component}_FOUND)
    set(tidegate_FOUND FALSE)
    set(tidegate_NOT_FOUND_MESSAGE "no ${_tidegate_component} library of tidegate in ${_tidegate_prefix}")
  endif()
endforeach()
